r"""events: the way of `Chunk` with gathers and scatters over the spikes in place of products.

Currents are sums of weight columns over the events of a step, the gradient of a line's weights is a
sum of $\mathrm{drive}^\top\lambda$ over the events of that line. What lies between, the neuron, is
the C that its own equations translate to.
"""

from functools import partial
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from tracegrad.learn import influence as influences
from tracegrad.learn.demand import demanded
from tracegrad.learn.filter import OUTPUT
from tracegrad.learn.local import Rows
from tracegrad.learn.plans.event_code import Asked
from tracegrad.learn.plans.event_kernels import Backward, Block, Cotangents, Forward, Kept
from tracegrad.learn.plans.plan import Data
from tracegrad.learn.plans.reverse import AbstractReverse, Seen, Verdict
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit, Moment, State
from tracegrad.model.parameter import setting
from tracegrad.model.stage import Stage, StageState


class Events(AbstractReverse):
    """Exact, for blocks that follow on no other and on a CPU with a C compiler.

    `learned` says of each stage whether its coefficients have a gradient (None: all). Time O(events
    n + batch T n k), memory O(T batch n) for the outputs and for those states that the way back
    reads, beside a copy of the weights and lists of the events. Any real input serves; what is zero
    costs nothing.
    """

    learned: tuple[bool, ...] | None = setting(None)

    @property
    def carries(self) -> bool:
        """Every block begins without a past."""
        return False

    @property
    def partitions(self) -> bool:
        """The C sees whole arrays."""
        return False

    @property
    def reads_bytes(self) -> bool:
        """A quarter of the memory to go through for what is not zero."""
        return True

    def compile(self, circuit: Circuit) -> None:
        """Compile the way back of every stage; `NoCodeError` or `NoCompilerError` if it fails."""
        circuit = self.influence.prepare(circuit)
        for index, stage in enumerate(circuit.stages):
            Backward(stage, self._asks(circuit, index))

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """Nothing is carried but the state."""
        return ()

    def forward(
        self, circuit: Circuit, feedback: Feedback, state: State, data: Data
    ) -> tuple[State, list[Seen]]:
        """See `AbstractReverse`."""
        wanted = self._wanted(circuit, feedback, state, data)
        ends, seen, outputs, incoming, marked = [], [], [], data.xs, None
        for index, (stage, before) in enumerate(zip(circuit.stages, state, strict=True)):
            if index == len(circuit.hidden):
                incoming = circuit.read(outputs)
                marked = None if circuit.all_layers else marked
            reads = Backward(stage, self._asks(circuit, index)).reads
            rows, currents = (a | b for a, b in zip(reads, wanted[index], strict=True))
            forward = Forward(stage, rows, currents, marked is not None)
            here = forward(stage, before, incoming, data.valid, marked)
            ends.append(here.end)
            after = StageState(here.kept.s, here.z)
            way = (incoming, here.kept.current, before, after)
            seen.append(Seen(*way, data.valid, here.marks, here.total))
            outputs.append(here.z)
            incoming, marked = here.z, here.marks.z
        return tuple(ends), seen

    def backward(
        self, circuit: Circuit, index: int, trace: influences.Trace | None, asked: Rows, seen: Seen
    ) -> tuple[Stage, influences.Trace | None]:
        """See `AbstractReverse`."""
        silent = self.silent(circuit, index, seen.start.z.shape[0])
        return self.resume(circuit, index, silent, asked, seen)[0], None

    def silent(self, circuit: Circuit, index: int, batch: int) -> Cotangents:
        """See `AbstractReverse`."""
        stage = circuit.stages[index]
        return Backward(stage, self._asks(circuit, index)).silent(stage, batch)

    def resume(
        self, circuit: Circuit, index: int, after: Cotangents, asked: Rows, seen: Seen
    ) -> tuple[Stage, Cotangents]:
        """See `AbstractReverse`."""
        stage = circuit.stages[index]
        kept = Kept(seen.after.s, seen.current)
        block = Block(seen.incoming, seen.start, seen.after.z, seen.marks, kept, seen.valid)
        own = self._kept.own_weight(stage)
        return Backward(stage, self._asks(circuit, index))(stage, own, block, asked, after)

    @property
    def _kept(self) -> influences.Block:
        assert isinstance(self.influence, influences.Block)  # the C goes back one neuron at a time
        return self.influence

    def _asks(self, circuit: Circuit, index: int) -> Asked:
        """What is asked of a stage; the readout has no taps, and its output is asked."""
        learned = self.learned is None or self.learned[index]
        if index == len(circuit.hidden):
            return Asked({}, (OUTPUT,), False, learned)
        rated = [OUTPUT] if self.loss.rate.strength else []
        signals = tuple(dict.fromkeys([self.rule.filter.meets(circuit), *rated]))
        own = self._kept.self_weight and circuit.stages[index].recurrent is not None
        return Asked(self.taps(circuit, index), signals, own, learned)

    def _wanted(
        self, circuit: Circuit, feedback: Feedback, state: State, data: Data
    ) -> list[tuple[frozenset[str], frozenset[str]]]:
        """States and currents of every stage that the signal reads."""

        def one_step(state: State, now: Data) -> tuple[Moment, Verdict]:
            x = now.real.xs
            moment = circuit.step(state, x, circuit.stages[0].feedforward(x))
            moment = jax.tree.map(lambda a: a[None], moment)
            error = moment.after[-1].z
            return moment, Verdict(error, now.ys[None], now.weight[None])

        example = jax.eval_shape(one_step, state, jax.tree.map(lambda a: a[0], data))
        moments, judged = example
        reads = demanded(partial(self.asked, circuit, feedback), moments, judged)
        read = jax.tree.unflatten(jax.tree.structure(example), reads)[0]
        return [
            (
                frozenset(row for row in before.s if before.s[row] or after.s[row]),
                frozenset(port for port in current if current[port]),
            )
            for before, after, current in zip(read.before, read.after, read.current, strict=True)
        ]
