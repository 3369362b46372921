"""The log and its tree: written, read as a stream, rebuilt."""
