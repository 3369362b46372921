"""What is measured, by which pipeline, and how a result is signed."""
