"""People, their roles and enrolments, and the duties they have."""
