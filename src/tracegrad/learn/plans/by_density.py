"""by_density: products or events, whichever the input of a block makes cheaper."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from tracegrad.learn.plans.events import Events
from tracegrad.learn.plans.plan import AbstractPlan, Data, Outcome, Stream
from tracegrad.learn.signal import Feedback
from tracegrad.model.network import Circuit
from tracegrad.model.parameter import setting
from tracegrad.native.compiler import NoCompilerError
from tracegrad.native.scalar import NoCodeError


class ByDensity(AbstractPlan):
    """`sparse` where at most a share `threshold` of the inputs is not zero, else `dense`.

    The choice is made for every block as it comes, inside the compiled program; both plans compute
    the same gradient. Blocks of fewer than `least` products (steps, samples, weights) are not worth
    the choice and go the dense way, as do all where `sparse` cannot run: on another device than a
    CPU, without a C compiler, with a neuron that has no form in C.
    """

    dense: AbstractPlan = setting(None)
    sparse: Events = setting(None)
    threshold: float = setting(0.1)
    least: int = setting(10_000_000)

    def init(self, circuit: Circuit, batch: int, key: PRNGKeyArray) -> Any:
        """See `AbstractPlan`; the same for both."""
        return self.dense.init(circuit, batch, key)

    def outcome(self, circuit: Circuit, feedback: Feedback, stream: Stream, data: Data) -> Outcome:
        """See `AbstractPlan`."""
        given = (circuit, feedback, stream, data)
        steps, batch, _ = data.xs.shape
        products = steps * batch * sum(stage.matrix.size for stage in circuit.stages)
        if products < self.least or jax.default_backend() != "cpu" or not self._runs(*given):
            return self.dense.outcome(*given)
        density = jnp.mean((data.xs != 0).astype(data.xs.dtype))
        return jax.lax.cond(
            density <= self.threshold, self.sparse.outcome, self.dense.outcome, *given
        )

    def _runs(self, *given: Any) -> bool:
        """Whether `sparse` can be compiled for this network."""
        try:
            jax.eval_shape(self.sparse.outcome, *given)
        except (NoCodeError, NoCompilerError):
            return False
        return True
