"""PostgreSQL on this machine, or another's server, made ready."""
