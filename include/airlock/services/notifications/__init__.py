"""What leaves Airlock: the relay of the outbox, and all that is shown in Slack."""
