"""The log: events, tree, checkpoints, witnesses, texts that can be erased."""
