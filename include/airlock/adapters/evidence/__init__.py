"""Where the files of evidence are kept."""
