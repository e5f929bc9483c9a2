"""event_kernels: a stage's way through a block and back, by C that XLA calls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped, UInt16

from tracegrad.learn.local import Rows
from tracegrad.learn.plans.event_code import (
    Asked,
    Names,
    back_code,
    flags,
    shape,
    step_function,
)
from tracegrad.model.stage import Ports, Stage, StageState
from tracegrad.native.compiler import target

Valid = Bool[Array, "time batch"]
Marked = UInt16[Array, "time batch words"]
Cotangents = Float[Array, "carried batch n"]  # of states, output and taps, in this order
_WIDE, _NARROW = 64, 16  # neurons that one thread takes at a time


class Kept(NamedTuple):
    """States after every step, and currents, (time, batch, n); only those that are kept."""

    s: Rows
    current: Ports


class Marks(NamedTuple):
    """Which entries of the input and of the output are not zero, a bit each, at every step.

    A last word says whether any of a row is another value than 1.
    """

    x: Marked
    z: Marked


class Forwarded(NamedTuple):
    """A stage at the end of a block: its state, its output at every step and in total, and more."""

    end: StageState
    z: Float[Array, "time batch n"]
    total: Float[Array, "batch n"]
    marks: Marks
    kept: Kept


class Block(NamedTuple):
    """A block of steps as a stage went through it."""

    xs: Shaped[Array, "time batch m"]
    before: StageState
    z: Float[Array, "time batch n"]
    marks: Marks
    kept: Kept
    valid: Valid | None


class Forward:
    """A stage through a block of steps.

    `rows` and `currents` name what is to be returned for every step; `marked` says whether the
    input comes with its marks.
    """

    def __init__(
        self, stage: Stage, rows: frozenset[str], currents: frozenset[str], marked: bool = False
    ):
        """Write and compile; `NoCodeError` or `NoCompilerError` where that cannot be done."""
        self.marked = marked
        self.names = names = Names.of(stage)
        self.keep = [r for r in names.rows if r in rows], [p for p in names.ports if p in currents]
        source = "\n".join(
            (
                shape(stage, names),
                f"enum {{ MARKED = {int(marked)} }};",
                flags("KEEP_STATE", names.rows, self.keep[0]),
                flags("KEEP_CURRENT", names.ports, self.keep[1]),
                step_function(stage, names),
                '#include "forward.h"',
            )
        )
        self.target = target(source, "forward")

    def __call__(
        self,
        stage: Stage,
        before: StageState,
        xs: Shaped[Array, "time batch m"],
        valid: Valid | None,
        marked: Marked | None = None,
    ) -> Forwarded:
        """What became of the block; the total is over the steps that exist."""
        assert self.marked == (marked is not None)  # the C reads them as it was compiled
        names, (time, batch, m), n = self.names, xs.shape, stage.size
        every = jax.ShapeDtypeStruct((time, batch, n), stage.dtype)
        last = jax.ShapeDtypeStruct((batch, n), stage.dtype)
        rows, currents = self.keep
        marks = [_marks(time, batch, k) for k in ((n,) if self.marked else (n, m))]
        kept = [every] * (len(rows) + len(currents))
        found = _call(
            self.target,
            [every, *marks, *[last] * (len(names.rows) + 2), *kept],
            _readable(xs, stage),
            jnp.zeros((0,), jnp.uint16) if marked is None else marked,
            _or_nothing(valid),
            *(stage.weight[p] for p in names.below),
            *((stage.recurrent or {})[p] for p in names.itself),
            *((stage.bias or {})[p] for p in names.below if stage.bias is not None),
            *(stage.coefficients[c] for c in names.coefficients),
            *(before.s[row] for row in names.rows),
            before.z,
        )
        rest = iter(found)
        z, z_marks = next(rest), next(rest)
        x_marks = next(rest) if marked is None else marked
        end = StageState({row: next(rest) for row in names.rows}, next(rest))
        total = next(rest)
        states = {row: next(rest) for row in rows}
        kept = Kept(states, {p: next(rest) for p in currents})
        return Forwarded(end, z, total, Marks(x_marks, z_marks), kept)


class Backward:
    """The same way back, and the gradient of the stage.

    `reads` names the states and currents that it needs to have been kept.
    """

    def __init__(self, stage: Stage, asked: Asked):
        """Write and compile; `NoCodeError` or `NoCompilerError` where that cannot be done."""
        names = self.names = Names.of(stage)
        self.asked = asked
        code, read = back_code(stage, names, asked)
        self.before = [r for k, r in enumerate(names.rows) if f"before{k}" in read]
        after = [r for k, r in enumerate(names.rows) if f"after{k}" in read]
        current = [p for k, p in enumerate(names.ports) if f"i{k}" in read]
        self.reads = frozenset(self.before) | frozenset(after), frozenset(current)
        source = "\n".join(
            (
                shape(stage, names),
                f"#define WIDTH {_WIDE if stage.size >= 2 * _WIDE else _NARROW}",
                f"enum {{ ASKED = {len(asked.signals)}, TAPS = {len(asked.taps)}, "
                f"OWN_WEIGHT = {int(asked.own_weight)}, GRADIENT_C = {int(asked.coefficients)}, "
                f"READ_OUTPUT = {int('z' in read)} }};",
                flags("READ_BEFORE", names.rows, self.before),
                flags("READ_AFTER", names.rows, after),
                flags("READ_CURRENT", names.ports, current),
                code,
                '#include "backward.h"',
            )
        )
        self.target = target(source, "backward")

    def silent(self, stage: Stage, batch: int) -> Cotangents:
        """No cotangents after a block."""
        carried = len(self.names.rows) + 1 + len(self.asked.taps)
        return jnp.zeros((carried, batch, stage.size), stage.dtype)

    def __call__(
        self, stage: Stage, own_weight: Ports, block: Block, signals: Rows, after: Cotangents
    ) -> tuple[Stage, Cotangents]:
        """The gradient, for what is asked at every step of a block; cotangents before it."""
        names, m, n = self.names, stage.lines, stage.size
        shapes = [
            *((n, m) for _ in names.below),
            *((n, n) for _ in names.itself),
            *((n,) for _ in names.below if stage.bias is not None),
            *((n,) for _ in names.coefficients if self.asked.coefficients),
            after.shape,
        ]
        dtype = stage.dtype
        fixed = [value for tap in self.asked.taps.values() for value in (tap.decay, tap.gain)]
        found = _call(
            self.target,
            [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes],
            _readable(block.xs, stage),
            block.marks.x,
            _or_nothing(block.valid),
            block.z,
            block.marks.z,
            block.before.z,
            *(signals[name] for name in self.asked.signals),
            *(block.kept.s[row] for row in names.rows if row in self.reads[0]),
            *(block.kept.current[p] for p in names.ports if p in self.reads[1]),
            *(block.before.s[row] for row in self.before),
            *(stage.coefficients[c] for c in names.coefficients),
            *(own_weight[p] for p in names.itself if self.asked.own_weight),
            jnp.stack([jnp.asarray(f, dtype) for f in fixed]) if fixed else jnp.zeros(1, dtype),
            after,
        )
        rest = iter(found)
        weight = {p: next(rest) for p in names.below}
        recurrent = {p: next(rest) for p in names.itself}
        bias = None if stage.bias is None else {p: next(rest) for p in names.below}
        none = jnp.zeros(n, dtype)
        c = {k: next(rest) if self.asked.coefficients else none for k in names.coefficients}
        own = recurrent if stage.recurrent is not None else None
        return Stage(weight, own, bias, c, stage.neuron), next(rest)


def _call(name: str, results: list[jax.ShapeDtypeStruct], *arguments: Array) -> list[Array]:
    """Call a kernel, which reads raw memory: every real number is made its type."""
    dtype = results[0].dtype
    same = (a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.inexact) else a for a in arguments)
    kernel = jax.ffi.ffi_call(name, results, vmap_method="sequential")
    return list(kernel(*same))


def _marks(time: int, batch: int, size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((time, batch, -(-size // 16) + 1), jnp.uint16)


def _readable(xs: Shaped[Array, "*shape"], stage: Stage) -> Shaped[Array, "*shape"]:
    """Bytes and booleans as they are, the rest as real numbers of the stage."""
    return xs if xs.dtype in (jnp.uint8, jnp.bool_) else xs.astype(stage.dtype)


def _or_nothing(valid: Valid | None) -> Bool[Array, "..."]:
    return jnp.zeros((0,), bool) if valid is None else valid
