"""The commands of those who write models: pipelines, policies, runs."""
