"""What leaves the database, and when: messages, tasks that wait, timers."""
