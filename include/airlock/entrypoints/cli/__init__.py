"""The commands people type about releases, gates, the log and themselves."""
