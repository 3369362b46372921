"""Tables in files: pinned, read, described."""
