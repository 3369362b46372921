"""Read models: what pages, the REST API and Slack show."""
