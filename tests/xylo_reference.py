"""Xylo's step in plain Python integers: one event after the other, straight from its description.

Nothing of the library is used but the names of arrays, in `padded`; `late` and `swapped` are the
two mistakes that must be caught.
"""

import random

import jax.numpy as jnp
import numpy as np

from tracegrad.substrate.xylo import IntegerLayer

LOW, HIGH = -(2**15), 2**15 - 1
LINES, NEURONS = 6, 10  # of the largest network; smaller ones are filled up and compiled once


def sat(x):
    return max(LOW, min(HIGH, x))


def leak(x, shift):
    return x - (max(x >> shift, 1) if x > 0 else x >> shift)


def draw(seed):
    """A network that saturates now and then, and 200 steps of events."""
    rng = random.Random(seed)
    m, n, steps = rng.randint(1, 6), rng.randint(1, 10), 200
    shift_in, shift_rec = rng.randint(0, 7), rng.randint(0, 7)
    weight = [[rng.randint(-128, 127) << shift_in for _ in range(m)] for _ in range(n)]
    recurrent = [[rng.randint(-128, 127) << shift_rec for _ in range(n)] for _ in range(n)]
    shift_syn = [rng.randint(0, 7) for _ in range(n)]
    shift_mem = [rng.randint(0, 7) for _ in range(n)]
    threshold = [rng.randint(1, 8000) for _ in range(n)]
    chance = rng.random()
    events = [
        [rng.randint(0, 20) if rng.random() < chance else 0 for _ in range(m)] for _ in range(steps)
    ]
    return dict(
        shifts=[shift_in, shift_rec],
        weight=weight, recurrent=recurrent, shift_syn=shift_syn, shift_mem=shift_mem,
        threshold=threshold, events=events,
    )  # fmt: skip


def run(net, late=False, swapped=False):
    """Current, potential and spikes at every step."""
    n = len(net["threshold"])
    current, v, spikes = [0] * n, [0] * n, [0] * n
    out = []
    for events in net["events"]:
        arriving = [(net["weight"], [min(e, 15) for e in events]), (net["recurrent"], spikes)]
        for matrix, counts in reversed(arriving) if swapped else arriving:
            for line, count in enumerate(counts):
                for _ in range(count):
                    for j in range(n):
                        total = current[j] + matrix[j][line]
                        current[j] = total if late else sat(total)
        current = [leak(sat(i), d) for i, d in zip(current, net["shift_syn"], strict=True)]
        lost = [x - leak(x, d) for x, d in zip(v, net["shift_mem"], strict=True)]
        v = [sat(x + sat(i - loss)) for x, i, loss in zip(v, current, lost, strict=True)]
        spikes = [
            min(31, x // t) if x >= t else 0 for x, t in zip(v, net["threshold"], strict=True)
        ]
        v = [x - s * t for x, s, t in zip(v, spikes, net["threshold"], strict=True)]
        out.append((list(current), list(v), list(spikes)))
    return out


def padded(net):
    """A network as arrays of one size; what is filled in is silent."""
    n = len(net["threshold"])

    def fill(values, *shape):
        out = np.zeros(shape, np.int32)
        array = np.asarray(values)
        out[tuple(slice(0, size) for size in array.shape)] = array
        return jnp.asarray(out)

    threshold = np.full(NEURONS, 2**15 - 1, np.int32)
    threshold[:n] = net["threshold"]
    layer = IntegerLayer(
        fill(net["weight"], NEURONS, LINES),
        fill(net["recurrent"], NEURONS, NEURONS),
        fill(net["shift_syn"], NEURONS),
        fill(net["shift_mem"], NEURONS),
        jnp.asarray(threshold),
    )
    return layer, fill(net["events"], len(net["events"]), LINES), n
