"""Bytes that stay on a device and bytes that travel, read off compiled programs: a Markdown table.

Nothing is run and no array is made: XLA compiles from shapes, for as many virtual devices as asked.
`python bench/scale_out.py` prints the table of docs/scale_out.md.
"""

import os

DEVICES = 64
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402

import tracegrad as tg  # noqa: E402
from tracegrad.run.mesh import mesh_of  # noqa: E402
from tracegrad.run.travelled import travelled  # noqa: E402

LINES, CLASSES, BATCH, STEPS = 100, 10, 8, 100
MEMORY, LINK = 3.35e12, 50e9  # bytes a second: HBM3 of an H100, one port of NDR InfiniBand


def compiled(n: int, recurrent: bool) -> jax.stages.Compiled:
    """A block of steps of e-prop with Adam at every step, neurons over all devices."""
    again = tg.Dense(n, n) if recurrent else None
    layer = tg.Layer(tg.Dense(LINES, n), tg.LIF(), recurrent=again)
    net = tg.Network(layer, readout=tg.Readout(n, CLASSES), dt=1e-3)
    loss = tg.losses.cross_entropy()
    learner = tg.Learner(net, tg.rules.eprop(), loss, optax.adam(1e-3), update_every=1)
    over = learner.over(mesh_of(f"neuron={DEVICES}"))
    state = jax.eval_shape(lambda: learner.init(jax.random.key(0), BATCH))
    xs = jax.ShapeDtypeStruct((STEPS, BATCH, LINES), jnp.float32)
    ys = jax.ShapeDtypeStruct((STEPS, BATCH), jnp.int32)
    return over.run.lower(state, xs, ys).compile()


def row(n: int, recurrent: bool) -> str:
    """A row of the table: what stays, what travels in a step, and the times both need."""
    program = compiled(n, recurrent)
    stays = program.memory_analysis().argument_size_in_bytes
    moved = sum(travelled(program).values()) / STEPS
    kind = "recurrent" if recurrent else "feed-forward"
    times = f"{1e3 * 2 * stays / MEMORY:.3g} | {1e3 * moved / LINK:.3g}"
    return f"| {kind} | {n:,} | {stays / 1e6:,.3g} | {moved / 1e3:,.3g} | {times} |"


def main() -> None:
    """Print the table."""
    print("| network | neurons | stays, MB | travels, kB a step | memory, ms | link, ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for recurrent, largest in ((False, 6), (True, 3)):
        for power in range(3, largest + 1):
            print(row(DEVICES * round(10**power / DEVICES), recurrent), flush=True)


if __name__ == "__main__":
    main()
