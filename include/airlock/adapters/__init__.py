"""One module per outside system. No adapter imports another; none reads settings."""
