"""The programs jobs run in child processes. Each reads request.json and writes result.json."""
