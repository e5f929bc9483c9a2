"""Watch: a page of this machine's own that shows a running training, and lets it pause."""
