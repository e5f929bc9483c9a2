"""event_kernels: a stage's way through a block and back as C, from its neuron's equations."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped, UInt16

from tracegrad.learn.filter import OUTPUT, Taps
from tracegrad.learn.local import Rows
from tracegrad.model.neuron import ports, seen_current
from tracegrad.model.stage import Ports, Stage, StageState
from tracegrad.native.compiler import target
from tracegrad.native.scalar import Code, NoCodeError, translate

Valid = Bool[Array, "time batch"]
Marked = UInt16[Array, "time batch words"]
Cotangents = Float[Array, "carried batch n"]  # of states, output and taps, in this order
_WIDE, _NARROW = 64, 16  # neurons that one thread takes at a time
# No array overlaps another, which `restrict` alone does not tell GCC once the function is inlined.
_EVERY_NEURON = '_Pragma("GCC ivdep") for (int64_t j = 0; j < n; j++)'


class Names(NamedTuple):
    """What a stage is made of, in the order in which C sees it."""

    rows: tuple[str, ...]
    coefficients: tuple[str, ...]
    ports: tuple[str, ...]
    below: tuple[str, ...]
    itself: tuple[str, ...]

    @staticmethod
    def of(stage: Stage) -> "Names":
        """Those of a stage."""
        known = ports(stage.neuron)
        recurrent = stage.recurrent or {}
        return Names(
            tuple(stage.rest(1).s),
            tuple(stage.coefficients),
            known,
            tuple(p for p in known if p in stage.weight),
            tuple(p for p in known if p in recurrent),
        )


class Asked(NamedTuple):
    """What a plan wants of a stage on the way back."""

    taps: Taps
    signals: tuple[str, ...]  # what there is a cotangent of: OUTPUT, taps
    own_weight: bool  # whether the self-weight is kept
    coefficients: bool  # whether coefficients have a gradient


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
                _shape(stage, names),
                f"enum {{ MARKED = {int(marked)} }};",
                _flags("KEEP_STATE", names.rows, self.keep[0]),
                _flags("KEEP_CURRENT", names.ports, self.keep[1]),
                _step_function(stage, names),
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
        code, read = _back_code(stage, names, asked)
        self.before = [r for k, r in enumerate(names.rows) if f"before{k}" in read]
        after = [r for k, r in enumerate(names.rows) if f"after{k}" in read]
        current = [p for k, p in enumerate(names.ports) if f"i{k}" in read]
        self.reads = frozenset(self.before) | frozenset(after), frozenset(current)
        source = "\n".join(
            (
                _shape(stage, names),
                f"#define WIDTH {_WIDE if stage.size >= 2 * _WIDE else _NARROW}",
                f"enum {{ ASKED = {len(asked.signals)}, TAPS = {len(asked.taps)}, "
                f"OWN_WEIGHT = {int(asked.own_weight)}, GRADIENT_C = {int(asked.coefficients)}, "
                f"READ_OUTPUT = {int('z' in read)} }};",
                _flags("READ_BEFORE", names.rows, self.before),
                _flags("READ_AFTER", names.rows, after),
                _flags("READ_CURRENT", names.ports, current),
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


def _shape(stage: Stage, names: Names) -> str:
    """The head of a file: types, numbers, and which currents have weights."""
    known = {"float32": "float", "float64": "double"}
    if stage.dtype.name not in known:
        raise NoCodeError(f"C has no type for weights of {stage.dtype.name}.")
    real = known[stage.dtype.name]
    return "\n".join(
        (
            f"#define REAL {real}",
            f"enum {{ STATES = {len(names.rows)}, PORTS = {len(names.ports)}, "
            f"COEFFICIENTS = {len(names.coefficients)}, BIAS = {int(stage.bias is not None)}, "
            f"RECURRENT = {int(bool(names.itself))} }};",
            "#include <stdint.h>",
            "#include <tgmath.h>",
            _flags("FROM_BELOW", names.ports, names.below),
            _flags("FROM_ITSELF", names.ports, names.itself),
        )
    )


def _flags(name: str, known: tuple[str, ...], chosen: Collection[str]) -> str:
    values = ", ".join(str(int(k in chosen)) for k in known) or "0"
    return f"static const int {name}[{max(len(known), 1)}] = {{{values}}};"


def _group(name: str, keys: Sequence[Any], scalar: Any) -> list[tuple[str, Any]]:
    return [(f"{name}{k}[j]", scalar) for k in range(len(keys))]


def _pointers(name: str, count: int, access: str = "const ") -> str:
    lines = (f"{access}REAL *restrict {name}{k} = {name}[{k}];" for k in range(count))
    return " ".join(lines)


def _stores(code: Code, places: list[str]) -> str:
    """Every output is computed before the first is stored: an output may be an input's place."""
    held = (f"const REAL out{k} = {text};" for k, text in enumerate(code.outputs))
    stored = (f"{place} out{k};" for k, place in enumerate(places))
    return "\n    ".join((*code.statements, *held, *stored))


def _step_function(stage: Stage, names: Names) -> str:
    """`neuron_step` of forward.h."""
    scalar = jax.ShapeDtypeStruct((), stage.dtype)
    inputs = [
        *_group("s", names.rows, scalar),
        ("z[j]", scalar),
        *_group("i", names.ports, scalar),
        *_group("c", names.coefficients, scalar),
    ]

    def step(*flat: Any) -> tuple:
        values = iter(flat)
        s = {row: next(values) for row in names.rows}
        z = next(values)
        current = {port: next(values) for port in names.ports}
        c = {name: next(values) for name in names.coefficients}
        after = stage.neuron.step(c, s, z, seen_current(stage.neuron, current))
        return (*(after[row] for row in names.rows), stage.neuron.output(c, after))

    code = translate(_of_type(step, stage), inputs)
    places = [*(f"s{k}[j] =" for k in range(len(names.rows))), "z[j] ="]
    return f"""static void neuron_step(int64_t n, REAL *const *s, REAL *restrict z, REAL *const *i,
                        const REAL *const *c) {{
  {_pointers("s", len(names.rows), "")} {_pointers("i", len(names.ports))}
  {_pointers("c", len(names.coefficients))}
  {_EVERY_NEURON} {{
    {_stores(code, places)}
  }}
}}"""


def _back_code(stage: Stage, names: Names, asked: Asked) -> tuple[str, set[str]]:
    """`neuron_back` of backward.h, and which of its arrays it reads."""
    scalar = jax.ShapeDtypeStruct((), stage.dtype)
    fixed = [(f"taps[{k}]", scalar) for k in range(2 * len(asked.taps))]
    states, taps = len(names.rows), len(asked.taps)
    inputs = [
        *_group("a", range(states + 1 + taps), scalar),
        *_group("asked", asked.signals, scalar),
        *_group("before", names.rows, scalar),
        ("z[j]", scalar),
        *_group("after", names.rows, scalar),
        *_group("i", names.ports, scalar),
        *_group("c", names.coefficients, scalar),
        *((f"own{names.ports.index(p)}[j]", scalar) for p in names.itself if asked.own_weight),
        *fixed,
    ]
    code = translate(_of_type(_one_step_back(stage, names, asked), stage), inputs)
    read = {inputs[index][0].split("[")[0] for index in code.needs}
    order = [*(f"a{k}[j] =" for k in range(states + 1 + taps))]
    order += [f"d_i{k}[j] =" for k in range(len(names.ports))]
    order += [f"d_c{k}[j] +=" for k in range(len(names.coefficients)) if asked.coefficients]
    declared = (("asked", len(asked.signals)), ("before", states), ("after", states))
    declared += (("i", len(names.ports)), ("c", len(names.coefficients)), ("own", len(names.ports)))
    pointers = " ".join(_pointers(name, count) for name, count in declared)
    gradients = _pointers("d_c", len(names.coefficients), "") if asked.coefficients else ""
    text = f"""static void neuron_back(int64_t n, REAL *const *a, const REAL *const *asked,
    const REAL *const *before, const REAL *restrict z, const REAL *const *after,
    const REAL *const *i, const REAL *const *c, const REAL *const *own,
    const REAL *restrict taps, REAL *const *d_c, REAL *const *d_i) {{
  {_pointers("a", states + 1 + taps, "")} {_pointers("d_i", len(names.ports), "")}
  {pointers} {gradients}
  {_EVERY_NEURON} {{
    {_stores(code, order)}
  }}
}}"""
    return text, read


def _one_step_back(stage: Stage, names: Names, asked: Asked) -> Any:
    """Cotangents of a neuron before a step, of its currents and coefficients, from those after."""
    neuron = stage.neuron

    def back(*flat: Any) -> tuple:
        values = iter(flat)
        after_s = {row: next(values) for row in names.rows}
        tapped = {OUTPUT: next(values)} | {name: next(values) for name in asked.taps}
        for name in asked.signals:
            tapped[name] = tapped[name] + next(values)
        before = {row: next(values) for row in names.rows}
        z = next(values)
        s = {row: next(values) for row in names.rows}
        current = {port: next(values) for port in names.ports}
        c = {name: next(values) for name in names.coefficients}
        own = {port: next(values) for port in names.itself if asked.own_weight}
        fixed = {name: (next(values), next(values)) for name in asked.taps}
        for name, tap in reversed(asked.taps.items()):
            tapped[tap.source] = tapped[tap.source] + fixed[name][1] * tapped[name]
        _, emitted = jax.vjp(neuron.output, c, s)
        d_c, d_s = emitted(tapped[OUTPUT])
        d_s = {row: after_s[row] + d_s[row] for row in names.rows}
        _, stepped = jax.vjp(
            lambda c, s, z, i: neuron.step(c, s, z, seen_current(neuron, i)), c, before, z, current
        )
        more, d_before, d_z, d_i = stepped(d_s)
        d_z = d_z + sum(weight * d_i[port] for port, weight in own.items())
        decayed = (fixed[name][0] * tapped[name] for name in asked.taps)
        result = (*(d_before[row] for row in names.rows), d_z, *decayed)
        result += tuple(d_i[port] for port in names.ports)
        return (*result, *(d_c[k] + more[k] for k in names.coefficients if asked.coefficients))

    return back


def _of_type(function: Any, stage: Stage) -> Any:
    """The function with outputs of the stage's type, whatever constants made of them."""

    def cast(*flat: Any) -> list:
        return [jnp.asarray(value, stage.dtype) for value in function(*flat)]

    return cast
