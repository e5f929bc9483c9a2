"""audit: what a rule costs on a network, in memory and operations, and whom it needs."""

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table

from tracegrad.inspect.locality import Needs, locality, started
from tracegrad.inspect.operations import count_operations
from tracegrad.inspect.probe import probe
from tracegrad.learn.graph import Graph
from tracegrad.learn.loss import mean_squared_error
from tracegrad.learn.plans.backprop import Backprop
from tracegrad.learn.plans.plan import AbstractPlan, Data
from tracegrad.learn.plans.step import Step
from tracegrad.learn.rule import Rule
from tracegrad.model.network import Circuit, Network


@dataclass(frozen=True)
class Memory:
    """Words (numbers) that a sample carries from step to step, besides the shared weights.

    `state` belongs to the network and is there without learning; `traces` to the influence,
    `signal` to a signal that remembers. `kept_per_step` is what backpropagation adds with every
    step of a block; an online rule adds nothing.
    """

    weights: int
    state: int
    traces: int
    signal: int
    kept_per_step: int

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

    Memory is that of the plan `Step` (or `Backprop` for an offline rule), read off the shapes it
    allocates; operations are counted from its trace; locality is measured by perturbation on a
    small copy of the network, O(copy^3). Raises `ValueError` where the rule refuses the network.

        print(tg.inspect.audit(net, tg.rules.eprop()))
    """
    rule.check(network)
    loss = mean_squared_error()
    offline = isinstance(rule.influence, Graph)
    plan: AbstractPlan = Backprop(rule, loss) if offline else Step(rule, loss)
    shapes = jax.eval_shape(lambda key: _start(plan, network, key), jax.random.key(0))
    circuit, stream, _ = shapes
    weights = _words(circuit)
    synapses = sum(_synapses(stage) for stage in circuit.stages)
    memory = Memory(
        weights=weights,
        state=_words(stream.state),
        traces=_words(stream.memory),
        signal=_words(stream.signal),
        kept_per_step=_kept(network, shapes) if offline else 0,
    )
    carried = memory.state + memory.rule + memory.kept_per_step
    return Audit(
        rule=rule.name,
        neurons=sum(part.input.outputs for part in (*network.layers, network.readout)),
        synapses=synapses,
        memory=memory,
        operations=_operations(network, plan, shapes),
        reads=weights + carried,
        writes=carried,
        needs={} if offline else locality(probe(network), rule),
    )


def _start(plan: AbstractPlan, network: Network, key: PRNGKeyArray) -> tuple:
    """Circuit, stream and feedback of one sample."""
    network = network.init(key)
    circuit = network.discretise()
    return circuit, plan.rest(circuit, 1, key), plan.rule.signal.init(network, key)


def _words(tree: Any) -> int:
    """Numbers in a tree, random keys left out."""
    return sum(a.size for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.number))


def _synapses(stage: Any) -> int:
    return _words((stage.weight, stage.recurrent))


def _data(network: Network, steps: int) -> Data:
    def shape(*sizes: int) -> Any:
        return jax.ShapeDtypeStruct((steps, 1, *sizes), jnp.result_type(float))

    inputs, outputs = network.layers[0].input.inputs, network.readout.input.outputs
    return Data(shape(inputs), shape(outputs), shape(), None)


def _kept(network: Network, shapes: tuple) -> int:
    """Words that reverse mode stores for its way back, for each step of a block."""
    circuit, stream, _ = shapes

    def outputs(circuit: Circuit, state: Any, xs: Any) -> Any:
        def body(state: Any, x: Any) -> Any:
            after = circuit.step(state, x, circuit.stages[0].feedforward(x)).after
            return after, after[-1].z

        return jax.lax.scan(body, state, xs)[1]

    def stored(steps: int) -> int:
        xs = _data(network, steps).xs
        return _words(jax.eval_shape(lambda *a: jax.vjp(outputs, *a)[1], circuit, stream.state, xs))

    return (stored(12) - stored(4)) // 8


def _operations(network: Network, plan: AbstractPlan, shapes: tuple) -> Operations:
    circuit, stream, feedback = shapes
    data = _data(network, 1)

    def forward(circuit: Circuit, state: Any, x: Any) -> Any:
        return circuit.step(state, x, circuit.stages[0].feedforward(x)).after

    x = jax.ShapeDtypeStruct(data.xs.shape[1:], data.xs.dtype)
    alone = count_operations(forward, circuit, stream.state, x)
    whole = count_operations(
        lambda c, s, f, d: plan.block(c, f, s, d).gradient, circuit, stream, feedback, data
    )
    first = network.layers[0]
    fan_out = first.input.outputs * len(first.neuron.feedforward_ports)
    moved = started(network, plan.rule) if plan.rule.online else 0
    return Operations(alone, whole - alone, fan_out, moved)


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
        row("words kept for every step of a block", 0, memory.kept_per_step)
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
