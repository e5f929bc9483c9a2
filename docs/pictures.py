"""Draw the pictures of README and of the pages, with the package's own means."""

import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

import tracegrad as tg
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.instant import Instant
from tracegrad.learn.influences.masked import Masked
from tracegrad.learn.local import emission, local
from tracegrad.model.network import Circuit
from tracegrad.model.stage import Stage, StageState
from tracegrad.run.defaults import defaults
from tracegrad.run.pictures import save
from tracegrad.run.session import Session

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
UNITS, STEPS = 6, 40
KEPT = (
    tg.rules.rtrl(),
    tg.rules.block(groups=2),
    tg.rules.block_diagonal(),
    tg.rules.d_rtrl(),
    tg.rules.eprop(),
    tg.rules.sltt(),
)


def three_factors() -> None:
    """Train as `tracegrad train digits` does, and keep one picture of the run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        Session(Console()).run(defaults("digits"), run)
        (IMAGES / "three_factors.png").write_bytes((run / "eligibility.png").read_bytes())


def one_step() -> tuple[Circuit, StageState, Float[Array, "1 m"]]:
    """A recurrent layer, its state after some steps of random spikes, and its next input."""
    net = tg.Network(
        tg.Layer(tg.Dense(8, UNITS, gain=8.0), tg.CubaLIF(), recurrent=tg.Dense(UNITS, UNITS, 3.0)),
        readout=tg.Readout(UNITS, 2),
        dt=1e-3,
    ).init(jax.random.key(4))  # fmt: skip
    xs = jax.random.bernoulli(jax.random.key(1), 0.3, (STEPS, 1, 8)).astype(float)
    _, state = net(xs)
    return net.discretise(), state[0], xs[-1]


def jacobian(stage: Stage, state: StageState, x: Float[Array, "1 m"]) -> Float[np.ndarray, "u u"]:
    """Every state of a layer over every state a step before, neuron by neuron: $H$."""
    names = list(state.s)

    def step(flat: Float[Array, "n k"]) -> Float[Array, "n k"]:
        s = {name: flat[None, :, index] for index, name in enumerate(names)}
        z = jax.vmap(stage.neuron.output)(stage.coefficients, {k: v[0] for k, v in s.items()})
        current = stage.current(stage.feedforward(x), z[None])
        after = stage.cell(stage.coefficients, StageState(s, z[None]), current)
        return jnp.stack([after.s[name][0] for name in names], axis=-1)

    flat = jnp.stack([state.s[name][0] for name in names], axis=-1)
    return np.asarray(jax.jacfwd(step)(flat)).reshape(flat.size, flat.size)


def carried(rule: tg.Rule) -> tuple[Float[np.ndarray, "u u"], np.ndarray]:
    """What a rule multiplies the influence by at one step, and which entries it keeps."""
    circuit, state, x = one_step()
    stage, k = circuit.stages[0], len(state.s)
    whole = jacobian(stage, state, x)
    own = np.kron(np.eye(UNITS, dtype=bool), np.ones((k, k), bool))
    match rule.influence:
        case Block() as block:
            return blocks(block, circuit, state, x), own
        case Masked(pattern):
            units = np.asarray(pattern.kept(circuit))[:UNITS, :UNITS]
            kept = np.kron(units, np.ones((k, k), bool))
        case Instant():
            kept = np.zeros_like(own)
        case _:
            kept = np.ones_like(own)
    return np.where(kept, whole, 0.0), kept


def blocks(
    block: Block, circuit: Circuit, state: StageState, x: Float[Array, "1 m"]
) -> Float[np.ndarray, "u u"]:
    """One block per neuron, from the rule's own parts: own and echo times emit."""
    stage = block.prepare(circuit).stages[0]
    here = local(stage, state, stage.current(stage.feedforward(x), state.z))
    echo, emit = block.echo(stage, here), emission(stage, state.s)[1]
    rows = [[here.own[row][col] + echo[row] * emit[col] for col in state.s] for row in state.s]
    made = np.zeros((UNITS, len(state.s)) * 2)
    for neuron in range(UNITS):
        made[neuron, :, neuron] = np.asarray(rows)[:, :, 0, neuron]
    return made.reshape(UNITS * len(state.s), -1)


def kept() -> None:
    """What each rule keeps of the Jacobian of one step."""
    figure = Figure(figsize=(9.0, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    circuit, state, x = one_step()
    reach = np.abs(jacobian(circuit.stages[0], state, x)).max()
    for axes, rule in zip(figure.subplots(2, 3).flat, KEPT, strict=True):
        values, mask = carried(rule)
        axes.set_facecolor("0.8")
        shown = axes.imshow(np.ma.masked_array(values, ~mask), cmap="RdBu", vmin=-reach, vmax=reach)
        edges = np.arange(UNITS + 1) * len(state.s) - 0.5
        axes.hlines(edges, -0.5, edges[-1], color="0.5", linewidth=0.5)
        axes.vlines(edges, -0.5, edges[-1], color="0.5", linewidth=0.5)
        title = "block, 2 neurons" if isinstance(rule.influence, Masked) else rule.name
        axes.set(title=title, xticks=[], yticks=[])
    figure.supxlabel("state before: neuron by neuron, current and membrane (grey: dropped)")
    figure.supylabel("state after")
    figure.colorbar(shown, ax=figure.axes, shrink=0.7)
    save(figure, IMAGES / "kept.png")


def by_lag() -> None:
    """The picture that the page on choosing a rule draws, as its own code draws it."""
    with tempfile.TemporaryDirectory() as folder:
        runner = DOCS.parent / "tests" / "pages.py"
        subprocess.run([sys.executable, runner, DOCS / "choosing.md"], cwd=folder, check=True)
        (IMAGES / "by_lag.png").write_bytes((Path(folder) / "choosing" / "eprop.png").read_bytes())


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ("three_factors", "kept", "by_lag")
    for name in wanted:
        {"three_factors": three_factors, "kept": kept, "by_lag": by_lag}[name]()
