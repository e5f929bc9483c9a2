"""Peak memory: what a compiled function needs at once."""

from typing import Any

import jax

from tracegrad.errors import UsageError


def peak_memory(compiled: jax.stages.Compiled) -> int:
    """Bytes that a compiled function needs at once, from XLA's plan."""
    plan: Any = compiled.memory_analysis()
    if plan is None:
        raise UsageError(
            "This device does not say how much memory a compiled function needs. Use a CPU or GPU."
        )
    return (
        plan.temp_size_in_bytes
        + plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        - plan.alias_size_in_bytes
    )
