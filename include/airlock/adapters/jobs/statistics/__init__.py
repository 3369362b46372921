"""What is computed from rows and predictions; imported by programs, none itself."""
