"""Panels: one section of a report a file, made from what runs left behind."""
