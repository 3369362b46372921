"""All that is answered over HTTP: pages, the REST API, Slack's requests."""
