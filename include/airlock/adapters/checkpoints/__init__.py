"""Where checkpoints of the log are kept outside the database, and who witnesses them."""
