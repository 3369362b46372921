"""What tasks propose, and how it is taken."""
