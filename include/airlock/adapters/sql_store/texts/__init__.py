"""What people wrote, beside the log."""
