"""Log: a run's metrics in the tools that others look at runs with, read from its folder."""
