"""The demonstration, and the one-shot jobs of docker-compose.yml."""
