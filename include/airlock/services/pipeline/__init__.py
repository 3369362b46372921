"""What a pipeline's run does: start, train, collect evidence, judge."""
