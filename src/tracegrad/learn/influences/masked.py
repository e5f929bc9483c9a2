r"""Masked influence: RTRL in which only some pairs of units are carried, and what then leaves them.

A path from a weight to the loss is followed by the influence as long as all its units are kept, and
at the first connection to a unit that is not, by the signal: so each path counts once.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from tracegrad.learn.filter import Taps
from tracegrad.learn.influence import AbstractInfluence, Cotangents
from tracegrad.learn.influences.full import Full, Kept, Reach
from tracegrad.learn.influences.pattern import AbstractPattern
from tracegrad.learn.local import Local
from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals, Symmetric
from tracegrad.model.network import Circuit, Moment, Network
from tracegrad.model.stage import Ports


class Masked(AbstractInfluence):
    r"""$G\leftarrow M\odot(HG+F)$, one row and column of $M$ for each unit.

    $M$ is applied to every stage before the one above it reads, so that nothing passes through a
    pair that is not kept. The whole matrix is allocated, kept or not: memory O(batch n k p), time
    O(batch n^2 k p) a step. Source: Menick et al. 2021 (SnAp), on neuron blocks.
    """

    pattern: AbstractPattern

    def prepare(self, circuit: Circuit) -> Circuit:
        """Nothing else is dropped."""
        return circuit

    def inner_weight(self, circuit: Circuit, index: int) -> Ports:
        """The recurrent weights of a stage inside its groups, (n, n) of each port."""
        inside = kept_pairs(self.pattern, circuit, 1)[index][index][0]
        recurrent = circuit.stages[index].recurrent or {}
        return {port: jnp.where(inside, weight, 0.0) for port, weight in recurrent.items()}

    def init(
        self, circuit: Circuit, taps: Taps, batch: int, key: PRNGKeyArray
    ) -> tuple[Reach, ...]:
        """All influence zero; what is kept is settled here."""
        empty = Full().init(circuit, taps, batch, key)
        masks = kept_pairs(self.pattern, circuit, batch)
        return tuple(reach._replace(kept=kept) for reach, kept in zip(empty, masks, strict=True))

    def push(
        self,
        circuit: Circuit,
        taps: Taps,
        memory: tuple[Reach, ...],
        moment: Moment,
        locals_: tuple[Local, ...],
    ) -> tuple[Reach, ...]:
        """As the full influence, which heeds what is kept."""
        return Full().push(circuit, taps, memory, moment, locals_)

    def pull(self, circuit: Circuit, memory: tuple[Reach, ...], cotangents: Cotangents) -> Circuit:
        """Cotangent times influence, summed over neurons and the batch."""
        return Full().pull(circuit, memory, cotangents)


class Leaving(AbstractSignal):
    r"""The symmetric signal of what leaves the kept pairs, for each unit of origin apart.

    $c_{ab}=\sum_{c:\,M_{cb}=0}W_{ca}\,\frac{\partial z_c}{\partial I_c}\,L_c
    +\sum_{k:\,M_{kb}=0}W_{o,ka}\,\delta_k$   (1)

    for affected unit $a$, origin $b$, and the whole symmetric signal $L_c$ of the layer above.
    Connections to units that are kept for $b$ are left out, because the influence carries them;
    with no pair but a unit's own it is the symmetric signal. O(batch N^3) a step for N units.
    """

    adapts: ClassVar[bool] = False
    remembers: ClassVar[bool] = True
    pattern: AbstractPattern

    def check(self, network: Network) -> None:
        """Serves every network that the pattern fits."""
        self.pattern.check(network)

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """None."""
        return ()

    def rest(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """What is kept, for each stage (batch, n, units)."""
        masks = kept_pairs(self.pattern, circuit, batch)
        return tuple(jnp.concatenate(kept, axis=-1) for kept in masks)

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """Equation (1)."""
        leaves = [1.0 - kept.astype(heard.error.dtype) for kept in memory]
        whole: Any = Symmetric()(circuit, feedback, heard, ())[0]
        signals = []
        for index, read in enumerate(circuit.split(circuit.stages[-1].matrix)):
            parts = [] if read is None else [_through(read, heard.error, leaves[-1])]
            if index + 1 < len(circuit.hidden):
                gains = heard.gains[index + 1]
                parts += [
                    _through(weight, whole[index + 1] * gains[port], leaves[index + 1])
                    for port, weight in circuit.stages[index + 1].weight.items()
                ]
            signals.append(sum(parts[1:], start=parts[0]))
        return tuple(signals), memory


def _through(
    weight: Float[Array, "n m"],
    asked: Float[Array, "batch n"],
    leaves: Float[Array, "batch n units"],
) -> Float[Array, "batch m units"]:
    """What is asked of the units above, through the connections that leave."""
    return jnp.einsum("nm,bn,bnu->bmu", weight, asked, leaves)


def kept_pairs(pattern: AbstractPattern, circuit: Circuit, batch: int) -> tuple[Kept, ...]:
    """The pattern cut into pairs of stages, for each sample: (batch, n, n_origin)."""
    ends = [sum(s.size for s in circuit.stages[: i + 1]) for i in range(len(circuit.hidden))]

    def of_sample(part: Array) -> Array:
        return jnp.broadcast_to(part[None], (batch, *part.shape))

    return tuple(
        tuple(of_sample(part) for part in jnp.split(rows, ends, axis=1))
        for rows in jnp.split(pattern.kept(circuit), ends, axis=0)
    )
