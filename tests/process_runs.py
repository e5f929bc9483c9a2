"""The command line on the tiny task, as one of several processes."""

import sys

from tiny import make_tiny
from tracegrad.data.registry import TASKS, Entry
from tracegrad.run.cli import main

if __name__ == "__main__":
    TASKS["digits"] = Entry(make_tiny, "two classes", False)
    sys.exit(main())
