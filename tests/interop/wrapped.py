"""A small recurrent network, its learner, and the module of torch that wraps it."""

import jax
import optax

import tracegrad as tg
from tracegrad.interop.torch import OnlineModule

STEPS, BATCH, LINES, HIDDEN, CLASSES = 12, 6, 5, 7, 3
RULES = {"eprop": tg.rules.eprop(), "block_diagonal": tg.rules.block_diagonal()}
RULES |= {"bptt": tg.rules.bptt(), "rtrl": tg.rules.rtrl()}
RULES |= {"random feedback": tg.rules.eprop(signal=tg.signals.Random())}


def made(rule: tg.Rule = RULES["eprop"], optimiser=optax.identity(), every=None) -> tg.Learner:  # noqa: B008
    hidden = tg.Layer(tg.Dense(LINES, HIDDEN, gain=3.0), tg.LIF(), tg.Dense(HIDDEN, HIDDEN))
    net = tg.Network(hidden, readout=tg.Readout(HIDDEN, CLASSES, tau=5e-3), dt=1e-3)
    loss = tg.losses.cross_entropy()
    return tg.Learner(net.freeze("*.neuron.*"), rule, loss, optimiser, every)


def module(learner: tg.Learner, stream: bool = False, batch_first: bool = False) -> OnlineModule:
    state = learner.init(jax.random.key(0), batch=BATCH, stream=stream)
    return OnlineModule(learner, state, batch_first)
