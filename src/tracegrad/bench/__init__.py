"""Benchmark: workloads, references written by hand, and how they are timed side by side."""

from tracegrad.bench.measure import Measured as Measured
from tracegrad.bench.measure import measure as measure
from tracegrad.bench.references import REFERENCES as REFERENCES
from tracegrad.bench.result import Origin as Origin
from tracegrad.bench.result import origin as origin
from tracegrad.bench.result import write as write
from tracegrad.bench.row import Row as Row
from tracegrad.bench.rows import rows as rows
from tracegrad.bench.timing import timed as timed
from tracegrad.bench.workload import WORKLOADS as WORKLOADS
from tracegrad.bench.workload import Given as Given
from tracegrad.bench.workload import Workload as Workload
from tracegrad.bench.workload import given as given
from tracegrad.bench.workload import network as network

__all__ = [
    "REFERENCES",
    "WORKLOADS",
    "Given",
    "Measured",
    "Origin",
    "Row",
    "Workload",
    "given",
    "measure",
    "network",
    "origin",
    "rows",
    "timed",
    "write",
]
