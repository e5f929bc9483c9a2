"""actor_critic: what reward-based e-prop follows, for actions and rewards as targets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tracegrad.learn.loss import Loss
from tracegrad.model.parameter import number


class ActorCritic(NamedTuple):
    r"""$-\sum_ka_k\log\pi_k-c_VV$ of one step; see `actor_critic`."""

    value: float

    def __call__(
        self, y: Float[Array, "batch o"], target: Float[Array, "batch o"]
    ) -> Float[Array, " batch"]:
        """The value per sample; its slope is what the rule multiplies with the TD error."""
        if not jnp.issubdtype(target.dtype, jnp.floating) or target.shape != y.shape:
            raise TypeError(
                f"actor_critic needs real targets of shape {y.shape}, got {target.dtype} of shape "
                f"{target.shape}. Give one-hot actions and, in the last place, the reward."
            )
        policy = -jnp.sum(target[:, :-1] * jax.nn.log_softmax(y[:, :-1]), axis=-1)
        return policy - self.value * y[:, -1]


def actor_critic(value: float = 0.5) -> Loss:
    r"""Policy and value of reward-based learning: $\partial/\partial y=(\pi-1_{a},\,-c_V)$.

    The readout's last unit is the value $V$, the others are the logits of the policy $\pi$.
    Targets, (batch, o): the action taken as one-hot (zeros at a step without action) and in the
    last place the reward that followed. The slope counts times the TD error, which
    `reward_eprop` supplies; the number itself is no distance. `value` is $c_V$.
    Source: Bellec et al. 2020.
    """
    return Loss(ActorCritic(number("value", value)))
