"""The commands of those who operate Airlock: start, status, keys, people."""
