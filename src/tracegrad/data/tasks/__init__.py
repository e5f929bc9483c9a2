"""Synthetic tasks, one a file: nothing to download."""
