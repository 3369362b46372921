"""The programs the lab runs in child processes. Each reads request.json and writes result.json."""
