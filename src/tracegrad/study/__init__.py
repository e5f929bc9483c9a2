"""Studies: a grid of trainings in worker processes, one SQLite file of results, and a report."""
