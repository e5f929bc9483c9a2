"""Inspect a rule: what it is, in equations."""

from tracegrad.inspect.explain import explain as explain
