"""Recursion: how each influence carries what a weight does, as equations with its dropped terms.

An influence is told by one function, registered for its type with `recursion.register`; those of
the library are in `inspect.influences`.
"""

from functools import singledispatch
from typing import Any

from tracegrad.errors import UsageError
from tracegrad.inspect.layout import Section
from tracegrad.inspect.site import Site


@singledispatch
def recursion(influence: Any, site: Site) -> tuple[Section, ...]:
    """Sections that say how `influence` carries traces in one layer, up to the weight's change."""
    raise UsageError(
        f"explain has no equations for the influence {type(influence).__name__}. "
        "Register a function for it with tracegrad.inspect.recursion.recursion.register."
    )
