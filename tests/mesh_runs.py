"""Learning on one device and over meshes of eight virtual ones; prints what came out as JSON.

A process of its own, because the number of devices is fixed when JAX starts.
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # tests read the sizes, too; theirs are the other flags
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} --xla_force_host_platform_device_count=8"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

import tracegrad as tg  # noqa: E402
from tiny import make_tiny  # noqa: E402
from tracegrad.data.registry import TASKS, Entry  # noqa: E402
from tracegrad.run import beside, flat  # noqa: E402
from tracegrad.run.checkpoint import Checkpoint, from_bytes, to_bytes  # noqa: E402
from tracegrad.run.cli import main  # noqa: E402
from tracegrad.run.flat import flatten, unflatten  # noqa: E402
from tracegrad.run.folder import open_run  # noqa: E402
from tracegrad.run.keeper import Keeper  # noqa: E402
from tracegrad.run.mesh import Placement, mesh_of, placement  # noqa: E402
from tracegrad.run.travelled import travelled  # noqa: E402

N, LINES, CLASSES, BATCH, STEPS = 16, 6, 3, 8, 8
KEY = jax.random.key(0)


class Ran(NamedTuple):
    """Two blocks: the learner's compiled function, its states between, and what came out."""

    call: Any
    learner: Any
    begun: Placement
    between: Any
    ended: Any
    info: Any


def learner(rule: Any, every: int | None) -> tg.Learner:
    layer = tg.Layer(tg.Dense(LINES, N, gain=3.0), tg.LIF(), recurrent=tg.Dense(N, N))
    net = tg.Network(layer, readout=tg.Readout(N, CLASSES, tau=20e-3), dt=1e-3)
    return tg.Learner(net, rule, tg.losses.cross_entropy(), optax.adam(1e-2), update_every=every)


def data(steps: int = STEPS) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    xs = rng.random((steps, BATCH, LINES)) < 0.4
    return jnp.asarray(xs, float), jnp.asarray(rng.integers(0, CLASSES, (steps, BATCH)))


def twice(learner: tg.Learner, stream: bool) -> Ran:
    """Two blocks, on the same data, through one compiled function."""
    state = learner.init(KEY, BATCH, stream)
    begun = placement(state)
    call = (learner.run if stream else learner.sequence).lower(state, *data()).compile()
    between, _ = call(state, *data())
    kept = jax.tree.map(jnp.copy, between)
    ended, info = call(between, *data())
    return Ran(call, learner, begun, kept, ended, info)


def apart(one: Any, other: Any) -> float:
    """The largest difference of two trees."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0)) for a, b in pairs)


def parts(state: Any) -> dict[str, list[int]]:
    """The shape of what a device holds of every array."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    name = {jax.tree_util.keystr(p, simple=True, separator="."): leaf for p, leaf in leaves}
    return {key: list(leaf.sharding.shard_shape(leaf.shape)) for key, leaf in name.items()}


def compared(rule: Any, every: int | None, meshes: tuple[str, ...]) -> tuple[dict, list[Ran]]:
    """What comes out over each mesh, beside one device."""
    plain = twice(learner(rule, every), every is not None)
    found, ran = {}, [plain]
    for mesh in meshes:
        over = twice(plain.learner.over(mesh_of(mesh)), every is not None)
        found[mesh] = {
            "apart": apart(plain.ended.network, over.ended.network),
            "changed": apart(plain.between.network, plain.ended.network),
            "same_spikes": apart(plain.info.rates, over.info.rates) == 0.0,
            "rate": float(np.mean(over.info.rates[0])),
            "dtype": str(over.info.outputs.dtype),
            "parts": parts(over.ended),
            "stays": placement(over.ended).device,
            "began": over.begun.device,
            "whole": over.begun.whole,
            "copied": list(over.begun.copied),
            "said": str(over.begun),
            "travels": travelled(over.call),
        }
        ran.append(over)
    return found, ran


def moved(one: Ran, origin: Ran, goal: Ran) -> float:
    """A checkpoint of one mesh goes on over another: how far from one that was never moved."""
    content = to_bytes(Checkpoint(flatten(origin.between), "{}"))
    state = unflatten(goal.between, from_bytes(content, "moved").arrays, "moved")
    return apart(one.ended.network, goal.call(state, *data())[0].network)


def saved_beside(folder: Path) -> dict[str, Any]:
    """Saved over eight devices in parts, a state goes on over any: the bits of one never saved."""
    meshes = ("neuron=8", "data=2,neuron=4")
    _, (one, eight, both) = compared(tg.rules.eprop(), 4, meshes)
    keeper = Keeper(folder, "", put=beside.put)
    saved, flat.whole = flat.whole, None  # no array is made whole
    arrays = keeper.arrays(1, eight.between)
    flat.whole = saved
    keeper.save(1, Checkpoint(arrays, ""))
    read = keeper.newest(1 << 24)
    found = {}
    for name, goal in (("one", one), ("eight", eight), ("both", both)):
        state = keeper.take(read, goal.between)
        shardings = [[leaf.sharding for leaf in jax.tree.leaves(s)] for s in (state, goal.between)]
        where = jax.tree.map(lambda leaf: leaf.sharding, state)
        never = jax.device_put(jax.tree.map(jnp.copy, eight.between), where)  # it will be donated
        found[name] = {
            "same": digest(state) == digest(eight.between),
            "lies": shardings[0] == shardings[1],
            "goes_on": digest(goal.call(state, *data())[0]) == digest(goal.call(never, *data())[0]),
        }
    resumed = eight.call(keeper.take(read, eight.between), *data())[0]
    found["eight"]["uninterrupted"] = digest(resumed) == digest(eight.ended)
    moved = both.call(keeper.take(read, both.between), *data())[0]
    found["both"]["apart"] = apart(moved.network, eight.ended.network)
    return found


def digest(state: Any) -> str:
    """Of every bit of a state."""
    return sha256(to_bytes(Checkpoint(flatten(state), ""))).hexdigest()


def stepped(one: Ran, mesh: str) -> float:
    """The steps of a block one at a time over a mesh, beside the block on one device."""
    over = one.learner.over(mesh_of(mesh))
    state = one.learner.init(KEY, BATCH)
    for x, y in zip(*data(), strict=True):
        state, _ = over.step(state, x, y)
    return apart(one.between.network, state.network)


def looped() -> dict[str, float]:
    """Bytes of a loop written by hand, whose one exchange is the sum over neurons."""
    mesh = mesh_of("neuron=8")
    shared = NamedSharding(mesh, PartitionSpec(None, "neuron"))

    def body(total: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(total + jnp.sum(x * total, axis=1, keepdims=True)), None

    def loop(xs: jax.Array) -> jax.Array:
        start = jax.lax.with_sharding_constraint(jnp.ones(xs.shape[1:]), shared)
        return jax.lax.scan(body, start, xs)[0]

    where = NamedSharding(mesh, PartitionSpec(None, None, "neuron"))
    xs = jax.ShapeDtypeStruct((STEPS, BATCH, N), float, sharding=where)
    return travelled(jax.jit(loop).lower(xs).compile())


def refused(call: Any) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def command_line(folder: Path) -> dict[str, Any]:
    """A run that is cut short over one mesh and goes on over another."""
    TASKS["digits"] = Entry(make_tiny, "two classes", False)
    options = ["--epochs", "2", "--batch", "8", "--checkpoint-every", "1", "--no-pictures"]
    begin = ["train", "digits", "--hidden", "8", *options, "--out"]
    codes = [main([*begin, str(folder / "plain")])]
    save, saved = Keeper.save, []

    def cut(keeper: Keeper, number: int, checkpoint: Checkpoint) -> None:
        save(keeper, number, checkpoint)
        saved.append(number)
        if len(saved) == 3:
            raise KeyboardInterrupt

    Keeper.save = cut
    codes.append(main([*begin, str(folder / "moved"), "--mesh", "data=2,neuron=4"]))
    Keeper.save = save
    codes.append(main(["resume", str(folder / "moved"), "--no-pictures", "--mesh", "data=8"]))
    runs = [open_run(folder / name) for name in ("plain", "moved")]
    return {
        "codes": codes,
        "batches": saved,
        "apart": apart(*(run.network() for run in runs)),
        "configs": [(run.path / "config.toml").read_text() for run in runs],
        "rates": [run.summary().rate for run in runs],
    }


def over_meshes() -> dict[str, Any]:
    block, eprop = tg.rules.block_diagonal(), tg.rules.eprop()
    every_step, _ = compared(block, 1, ("data=1,neuron=8",))
    blocks, (one, many, both) = compared(eprop, 4, ("data=8,neuron=1", "data=2,neuron=4"))
    with jax.enable_x64(False):
        single, _ = compared(block, None, ("neuron=4,data=2",))
    over = one.learner.over(mesh_of("data=8"))
    return {
        "every_step": every_step,
        "blocks": blocks,
        "single": single,
        "moved": {
            "one": moved(one, both, one),
            "many": moved(one, both, many),
            "back": moved(one, one, both),
        },
        "stepped": stepped(one, "data=2,neuron=4"),
        "looped": looped(),
        "plan": str(learner(block, None).over(mesh_of("data=8")).for_input(np.eye(9)[None]).plan),
        "refused": {
            "init": refused(lambda: over.init(KEY, 12)),
            "data": refused(lambda: over.run.lower(one.between, *(a[:, :6] for a in data()))),
            "devices": refused(lambda: mesh_of("data=3,neuron=3")),
        },
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    work = {"run": command_line, "beside": saved_beside}
    done = work[sys.argv[1]](Path(sys.argv[2])) if len(sys.argv) > 1 else over_meshes()
    print(json.dumps(done))
