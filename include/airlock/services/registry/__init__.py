"""The model registry compared with the log, and surveyed before adoption."""
