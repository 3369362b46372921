"""Employment in Massachusetts: the high-risk example."""
