"""Instruments: how faithful a rule is, what it is in equations, and what it costs."""

from tracegrad.inspect.audit import Audit as Audit
from tracegrad.inspect.audit import audit as audit
