"""Sources: where events and labels come from, one a file."""
