"""Real recordings, one set a file: read from a folder, checked, encoded as events."""
