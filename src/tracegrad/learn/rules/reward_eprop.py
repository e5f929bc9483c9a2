"""reward_eprop: e-prop that learns from rewards, with a policy and a value."""

from tracegrad.learn.filter import Kappa
from tracegrad.learn.influence import Block
from tracegrad.learn.influences.rewarded import Rewarded
from tracegrad.learn.needs import actions_and_value
from tracegrad.learn.rule import Rule
from tracegrad.learn.signal import AbstractSignal, Symmetric


def reward_eprop(discount: float = 0.99, signal: AbstractSignal | None = None) -> Rule:
    r"""Reward-based e-prop, an actor-critic.

    $\Delta W_{ji}=-\eta\sum_t\delta^t\,F_\gamma\big(L_j^t\bar e_{ji}^t\big),\quad
    L_j=\sum_kB_{jk}(\pi_k-1_{a=k})-c_VB^V_j,\quad\delta^t=r^t+\gamma V^{t+1}-V^t$   (1)

    for the loss `actor_critic()`: the readout's last unit is the value, the target holds action and
    reward; an episode ends with a step of weight zero. The readout learns by the same rule.
    `discount` is $\gamma$. Signal symmetric unless given. Memory O(batch (k + 2) p), time O(batch
    k^2 p) a step. Source: Bellec et al. 2020; the sign of the value's part follows from
    $-\frac12(R-V)^2$.

    Keeps: what `eprop` keeps, and products with the signal until the next reward.
    Drops: what `eprop` drops.
    """
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be at least 0 and below 1, got {discount}.")
    return Rule(
        "reward_eprop",
        "e-prop times the reward's surprise: actions and rewards in place of targets",
        Rewarded(Block(self_weight=False, reset=False), discount),
        Kappa(),
        signal or Symmetric(),
        (actions_and_value,),
    )
