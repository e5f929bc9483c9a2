"""LocalReadout: every layer has a fixed random readout and a loss of its own."""

from typing import Any, ClassVar

import jax
from jaxtyping import Array, PRNGKeyArray

from tracegrad.learn.signal import AbstractSignal, Feedback, Heard, Signals
from tracegrad.model.network import Circuit, Network
from tracegrad.model.parameter import setting


class LocalReadout(AbstractSignal):
    r"""Local errors: $r^l=G^lz^l+g^l,\quad L^l=G^{l\top}\,\partial\ell(r^l,y^*)/\partial r^l$.

    The fixed $G^l$ (o, n) and $g^l$ are uniform in $\pm a/\sqrt{n_l}$. With `NoFilter`, what a
    layer follows is the gradient of $\sum_t\ell(r^{l,t},y^{*t})$, in which no other layer has a
    part; a filter made for the readout smooths the trace beyond that, because $r^l$ has no memory.
    O(batch n o) a step. Source: Kaiser, Mostafa & Neftci 2020 (DECOLLE).
    """

    adapts: ClassVar[bool] = False
    amplitude: float = setting(1.0)

    def check(self, network: Network) -> None:
        """Serves every network."""

    def init(self, network: Network, key: PRNGKeyArray) -> Feedback:
        """Draw the readouts, (n + 1, o) for a layer of n neurons: the last row is $g^l$."""
        outputs = network.readout.input.outputs
        sizes = [layer.input.outputs for layer in network.layers]

        def draw(key: PRNGKeyArray, n: int) -> Array:
            bound = self.amplitude / n**0.5
            return jax.random.uniform(key, (n + 1, outputs), float, minval=-bound, maxval=bound)

        return tuple(map(draw, jax.random.split(key, len(sizes)), sizes))

    def __call__(
        self, circuit: Circuit, feedback: Feedback, heard: Heard, memory: Any
    ) -> tuple[Signals, Any]:
        """See the class."""

        def signal(z: Array, matrix: Array) -> Array:
            weight, bias = matrix[:-1], matrix[-1]
            return heard.error_of(z @ weight + bias[None]) @ weight.T

        outputs = [state.z for state in heard.moment.after[:-1]]
        return tuple(map(signal, outputs, feedback)), memory
