"""Formats: one public file format a file, read within bounds and refused in one sentence."""
