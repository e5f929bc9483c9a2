"""`python -m tracegrad`: the command line."""

import sys

from tracegrad.run.cli import main

sys.exit(main())
