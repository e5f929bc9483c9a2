"""audit: what a rule costs on a network, in memory and operations, and whom it needs."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table

from tracegrad.inspect.locality import Located, Needs, locate
from tracegrad.inspect.operations import count_operations
from tracegrad.inspect.perturb import carried, every_step
from tracegrad.inspect.wiring import wiring
from tracegrad.learn.alike import alike
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.plan import AbstractPlan, Data, Stream
from tracegrad.learn.rule import Rule
from tracegrad.model.linear_map import FanIn
from tracegrad.model.network import Circuit, Network


@dataclass(frozen=True)
class Memory:
    """Words (numbers) that a sample carries from step to step, and those that samples share.

    `state` belongs to the network and is there without learning; `traces` to the influence,
    `signal` to a signal that remembers; `of_synapses` are those of the traces that synapses keep
    each for itself. `flags` are truth values and random keys carried besides,
    which are no numbers. `kept_per_step` is what backpropagation adds with every step, for at most
    `window` steps (None: of a whole block); an online rule adds nothing.

    Shared are `weights` (with the coefficients of neurons), `feedback` weights, and what the rule
    puts around an optimiser. All is what is allocated, be it in use or not.
    """

    weights: int
    feedback: int
    optimiser: int
    state: int
    traces: int
    of_synapses: int
    signal: int
    flags: int
    kept_per_step: int
    window: int | None

    @property
    def rule(self) -> int:
        """Words of a sample that the rule adds to the network's own."""
        return self.traces + self.signal


@dataclass(frozen=True)
class Operations:
    """Arithmetic operations of one step of one sample.

    `forward` without learning, `learning` what the rule adds. `forward_per_spike` and
    `learning_per_spike` are what one more input spike costs where products with silent lines are
    left out: one addition into every current it reaches, and one into every number of the rule's
    memory that it moves in the same step.
    """

    forward: int
    learning: int
    forward_per_spike: int
    learning_per_spike: int


@dataclass(frozen=True)
class Audit:
    """The price of a rule on a network; `print(audit)` shows it, `to_dict()` is for files."""

    rule: str
    neurons: int
    synapses: int
    memory: Memory
    operations: Operations
    reads: int
    writes: int
    needs: dict[str, Needs]

    @property
    def words_per_synapse(self) -> float:
        """The rule's memory, for each synapse."""
        return self.memory.rule / self.synapses

    @property
    def words_per_neuron(self) -> float:
        """The rule's memory, for each neuron."""
        return self.memory.rule / self.neurons

    @property
    def local(self) -> bool:
        """Whether every weight change needs its own two neurons and a broadcast only."""
        return bool(self.needs) and all(needs.local for needs in self.needs.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            **{k: v for k, v in asdict(self).items() if k != "needs"},
            "words_per_synapse": self.words_per_synapse,
            "words_per_neuron": self.words_per_neuron,
            "local": self.local,
            "needs": {k: v._asdict() for k, v in self.needs.items()},
        }

    def __str__(self) -> str:
        """Two tables: the cost, and whom each kind of parameter needs."""
        console = Console(width=120, color_system=None)
        with console.capture() as capture:
            console.print(Group(_cost(self), _needs(self)))
        return "\n".join(line.rstrip() for line in capture.get().splitlines())


def audit(network: Network, rule: Rule) -> Audit:
    """Price a rule on a network, for one sample and an update at every step; nothing is run.

    Memory is that of the plan that executes the rule, read off the shapes it allocates; operations
    are counted from its trace; locality is measured by perturbation on a small copy of the network,
    O(copy^3). A rule that learns from blocks is priced for a step of a long block. The loss is the
    squared error, or `actor_critic` for a rule that learns from rewards. Raises `ValueError` where
    the rule refuses the network.

        print(tg.inspect.audit(net, tg.rules.eprop()))
    """
    rule.check(network)
    plan = every_step(rule, alike(network, rule.influence))
    shapes = jax.eval_shape(lambda key: _start(plan, network, key), jax.random.key(0))
    memory = _memory(network, plan, shapes)
    found = locate(network, rule) if rule.online else Located({}, [])
    once = memory.state + memory.rule + memory.optimiser + memory.kept_per_step
    return Audit(
        rule=rule.name,
        neurons=sum(part.input.outputs for part in (*network.layers, network.readout)),
        synapses=_synapses(network, shapes[0]),
        memory=memory,
        operations=_operations(network, plan, shapes, found),
        reads=memory.weights + memory.feedback + once,
        writes=once,
        needs=found.needs,
    )


def _start(plan: AbstractPlan, network: Network, key: PRNGKeyArray) -> tuple:
    """Circuit, stream and feedback of one sample, and what the rule's own optimiser keeps."""
    network = network.init(key)
    circuit = network.discretise()
    around = plan.rule.around
    kept = () if around is None else around(optax.identity()).init(_learned(network))
    return circuit, plan.rest(circuit, 1, key), plan.rule.signal.init(network, key), kept


def _learned(network: Network) -> Any:
    return eqx.filter(network, network.learning())


def _memory(network: Network, plan: AbstractPlan, shapes: tuple) -> Memory:
    circuit, stream, feedback, optimiser = shapes
    every = jax.tree.leaves(stream)
    kept, window = 0, 0
    if isinstance(plan, Backprop):
        kept = _per_step(lambda data: _kept(plan, shapes, data), network)
        window = plan.graph.window
    return Memory(
        weights=_words(circuit),
        feedback=_words(feedback),
        optimiser=_words(optimiser),
        state=_words(stream.state),
        traces=_words(stream.memory),
        of_synapses=_of_synapses(jax.eval_shape(plan.shaped, circuit), stream.memory),
        signal=_words(stream.signal),
        flags=sum(a.size for a in every) - _words(every),
        kept_per_step=kept,
        window=window,
    )


def _words(tree: Any) -> int:
    """Numbers in a tree; truth values and random keys are none."""
    return sum(a.size for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.number))


def _of_synapses(circuit: Circuit, memory: Any) -> int:
    """Numbers in arrays that have the axes of a matrix of weights, or of a list of synapses.

    A matrix of one row or column is no longer than a line's or a neuron's own traces: not counted.
    """
    weights = [(stage.weight, stage.recurrent) for stage in circuit.stages]
    shapes = {w.shape for w in jax.tree.leaves(weights) if w.ndim == 2 and min(w.shape) > 1}
    return sum(a.size for a in jax.tree.leaves(memory) if a.shape[-2:] in shapes)


def _synapses(network: Network, circuit: Circuit) -> int:
    below = sum(wiring(part.input).synapses for part in (*network.layers, network.readout))
    return below + _words([stage.recurrent for stage in circuit.stages])


def _data(network: Network, steps: int) -> Data:
    def shape(*sizes: int) -> Any:
        return jax.ShapeDtypeStruct((steps, 1, *sizes), jnp.result_type(float))

    inputs, outputs = network.layers[0].input.inputs, network.readout.input.outputs
    return Data(shape(inputs), shape(outputs), shape(), None)


def _per_step(count: Callable[[Data], int], network: Network) -> int:
    """By how much a count grows with every step of a block."""
    return (count(_data(network, 12)) - count(_data(network, 4))) // 8


def _kept(plan: Backprop, shapes: tuple, data: Data) -> int:
    """Words that reverse mode stores for its way back."""

    def pulled(circuit: Circuit, state: Any, data: Data) -> Any:
        return jax.vjp(lambda c: plan.objective(c, state, data)[0], circuit)[1]

    return _words(jax.eval_shape(pulled, shapes[0], shapes[1].state, data))


def _operations(network: Network, plan: AbstractPlan, shapes: tuple, found: Located) -> Operations:
    circuit, stream, feedback, _ = shapes
    one = _data(network, 1)

    def forward(circuit: Circuit, state: Any, x: Any) -> Any:
        return circuit.step(state, x, circuit.stages[0].feedforward(x)).after

    def learn(circuit: Circuit, feedback: Any, stream: Stream, data: Data) -> Any:
        outcome = plan.block(circuit, feedback, stream, data)
        return plan.rule.signal.learn(circuit, feedback, outcome.gradient, outcome.stream.signal)

    def whole(data: Data) -> int:
        return count_operations(learn, circuit, feedback, stream, data)

    x = jax.ShapeDtypeStruct(one.xs.shape[1:], one.xs.dtype)
    alone = count_operations(forward, circuit, stream.state, x)
    every = _per_step(whole, network) if isinstance(plan, Backprop) else whole(one)
    learning = every - alone + _around(network, plan.rule, shapes)
    first = network.layers[0].input
    reached = wiring(first).fan_out
    sizes = _sizes(carried(stream, plan.rule.signal, feedback))
    kept = jax.eval_shape(plan.shaped, circuit).stages[0].weight
    if any(isinstance(weight, FanIn) for weight in kept.values()):
        sizes = [_reached(size, first.outputs, reached) for size in sizes]
    moved = found.on(sizes) if found.moved else 0
    return Operations(alone, learning, reached * first.ports, moved)


def _reached(size: tuple[int, ...], neurons: int, reached: int) -> tuple[int, ...]:
    """Where traces lie in lists of synapses, a line moves those of the neurons it reaches."""
    return tuple(reached if axis == neurons else axis for axis in size)


def _around(network: Network, rule: Rule, shapes: tuple) -> int:
    """Operations that a rule puts around the optimiser, an update."""
    if rule.around is None:
        return 0
    drawn = jax.eval_shape(lambda key: _learned(network.init(key)), jax.random.key(0))
    return count_operations(rule.around(optax.identity()).update, drawn, shapes[3], drawn)


def _sizes(tree: Any) -> list[tuple[int, ...]]:
    """Shapes of the arrays of numbers that a rule carries."""
    leaves = jax.tree.leaves(tree)
    return [a.shape for a in leaves if jnp.issubdtype(a.dtype, jnp.inexact)]


def _cost(seen: Audit) -> Table:
    table = Table(title=f"{seen.rule}: cost of a step, one sample", box=SIMPLE_HEAD)
    for name in ("", "network", "rule", "per neuron", "per synapse"):
        table.add_column(name, justify="left" if not name else "right")
    memory, operations = seen.memory, seen.operations
    n, p = seen.neurons, seen.synapses

    def row(name: str, network: int, rule: int) -> None:
        table.add_row(name, f"{network:,}", f"{rule:,}", f"{rule / n:,.3g}", f"{rule / p:,.3g}")

    row("words carried", memory.state, memory.rule)
    if memory.kept_per_step:
        window = "a block" if memory.window is None else f"a window of {memory.window}"
        row(f"words kept for every step of {window}", 0, memory.kept_per_step)
    if shared := memory.feedback + memory.optimiser:
        row("words shared by samples", 0, shared)
    row("operations, dense", operations.forward, operations.learning)
    row(
        "operations of one input spike", operations.forward_per_spike, operations.learning_per_spike
    )
    table.caption = (
        f"{n:,} neurons, {p:,} synapses, {memory.weights:,} shared words of weights and "
        f"coefficients; {seen.reads:,} words read and {seen.writes:,} written a step"
    )
    return table


def _needs(seen: Audit) -> Table:
    title = "whom a weight change needs, over all time" if seen.needs else "needs the whole block"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("parameter", no_wrap=True)
    for name in (*Needs._fields, "local"):
        table.add_column(name, justify="center", no_wrap=True)
    for name, needs in seen.needs.items():
        table.add_row(name, *("x" if value else "" for value in (*needs, needs.local)))
    return table
