"""Report: runs as one page to look at, which works from disk and needs no network."""
