"""Rewarded: products of signal and trace are filtered, and wait for the reward's surprise."""

import sympy as sp

from tracegrad.inspect import notation as n
from tracegrad.inspect.change import FORM, change, coefficient_traces, product, summed
from tracegrad.inspect.layout import Equation, Section, one_line
from tracegrad.inspect.recursion import recursion
from tracegrad.inspect.site import Site
from tracegrad.learn.influences.rewarded import Rewarded

WAITING = """F_ij: products of signal and trace that wait; y_V: the readout's last unit; acts:
1 at a step with an action, 0 at one of weight zero, which ends an episode"""


@recursion.register
def _(influence: Rewarded, site: Site) -> tuple[Section, ...]:
    return recursion(influence.kept, site)


@change.register
def _(influence: Rewarded, site: Site, met: sp.Symbol, heard: tuple) -> tuple[Section, ...]:
    gamma = sp.Float(str(influence.discount))
    now, before = sp.Symbol("F_ij[t]"), sp.Symbol("F_ij[t-1]")
    act, acted = sp.Symbol("acts[t]"), sp.Symbol("acts[t-1]")
    value, guess = act * sp.Symbol("y_V[t]"), sp.Symbol("y_V[t-1]")
    surprise = sp.Symbol("surprise[t]")
    error = acted * (sp.Symbol("reward[t-1]") + gamma * value - guess)
    reward = (
        Equation(surprise, (error,)),
        Equation(now, (gamma * act * before, product(met, heard))),
    )
    weight = n.at_port("W", site.port, "ij")
    note = f"{weight} stands for every weight that has this trace"
    return (
        Section("Reward", reward, one_line(WAITING)),
        Section("Change", (summed(weight.name, surprise * before),), note),
        *coefficient_traces(site, FORM),
    )
