"""demand: which arguments a function really reads, from its trace."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def demanded(function: Callable[..., Any], *arguments: Any) -> list[bool]:
    """For each leaf of `arguments`, whether the result can depend on it.

    `arguments` may be arrays or shapes. A call within counts as reading all it is given.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(a for a in equation.invars if not isinstance(a, core.Literal))
    return [variable in needed for variable in jaxpr.invars]
