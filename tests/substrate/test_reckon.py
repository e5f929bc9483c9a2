"""ReckOn's rule equals plain Python integers on random networks, draws of a register included."""

import random as plain

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tracegrad.substrate.reckon import Reckon

M, N, OUT, STEPS = 5, 6, 3, 20


def sat(x, low, high):
    return max(low, min(high, x))


def draw(seed):
    """Weights, and for every step spikes, potentials, errors and draws."""
    rng = plain.Random(seed)

    def matrix(rows, columns, low, high):
        return [[rng.randint(low, high) for _ in range(columns)] for _ in range(rows)]

    bits = rng.choice([16, 22, 28, 31])  # small draws, so that weights move
    steps = [
        dict(
            spikes=[int(rng.random() < 0.4) for _ in range(M)],
            v=[rng.randint(-4000, 4000) for _ in range(N)],
            error=[rng.randint(-2048, 2048) for _ in range(OUT)],
            rounding=[rng.randrange(2**15) for _ in range(M)],
            drawn=matrix(N, M, 0, 2**bits - 1),
        )
        for _ in range(STEPS)
    ]
    return matrix(N, M, -128, 127), matrix(OUT, N, -128, 127), steps


def reference(rule, weight, readout, steps):
    """The rule as its description says, one number after the other."""
    trace, out = [0] * M, []
    for now in steps:
        for i in range(M):
            if now["spikes"][i]:
                trace[i] = sat(trace[i] + (8 << rule.trace_shift), 0, 4095)
            product = trace[i] * rule.decay
            whole = product >> 15
            if product % 2**15 >= now["rounding"][i] and whole:
                whole += 1
            trace[i] = sat(whole, 0, 4095)
        signals = []
        for j in range(N):
            total = sum(now["error"][k] * readout[k][j] for k in range(OUT))
            signals.append(sat((total << rule.signal_shift) >> 12, -(2**15), 2**15 - 1))
        for j in range(N):
            slope = rule.levels[sum(now["v"][j] >= t for t in rule.thresholds)]
            for i in range(M):
                q = signals[j] * slope * trace[i]
                size = min(abs(q) << rule.boost, 2**32 - 1) >> rule.rate
                if size >= now["drawn"][j][i] and q:
                    moved = weight[j][i] + (1 if q > 0 else -1)
                    weight[j][i] = moved if -128 <= moved <= 127 else weight[j][i]
        out.append((list(trace), list(signals), [list(row) for row in weight]))
    return out


def ours(rule):
    @jax.jit
    def run(weight, readout, steps):
        def body(carried, now):
            trace, weight = carried
            trace = rule.trace(trace, now["spikes"], now["rounding"])
            signal = rule.signal(now["error"], readout)
            weight = rule.update(weight, signal * rule.slope(now["v"]), trace, now["drawn"])
            return (trace, weight), (trace, signal, weight)

        return jax.lax.scan(body, (jnp.zeros(M, jnp.int32), weight), steps)[1]

    return run


def compared(rule, seeds):
    """Networks that differ in any bit, and how many weights moved."""
    run, wrong, moved = ours(rule), 0, 0
    for seed in seeds:
        weight, readout, steps = draw(seed)
        start = np.asarray(weight)
        arrays = {
            k: jnp.asarray(np.asarray([s[k] for s in steps]), jnp.int32)
            for k in ("spikes", "v", "error")
        } | {
            k: jnp.asarray(np.asarray([s[k] for s in steps]), jnp.uint32)
            for k in ("rounding", "drawn")
        }
        found = run(jnp.asarray(start, jnp.int32), jnp.asarray(readout, jnp.int32), arrays)
        expected = [
            np.asarray(x) for x in zip(*reference(rule, weight, readout, steps), strict=True)
        ]
        wrong += any(not np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        moved += int(np.sum(np.asarray(found[2][-1]) != start))
    return wrong, moved


# The last one's traces die within a few steps, where rounding up must not revive them.
RULES = [
    Reckon(),
    Reckon(rate=3, trace_shift=7, signal_shift=6),
    Reckon(decay=9000, trace_shift=0, signal_shift=10),
    Reckon(boost=9, rate=2),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_equals_plain_integers_on_300_networks(rule):
    wrong, moved = compared(rule, range(300))
    assert wrong == 0
    assert moved > 1000, "weights must have moved"


def test_a_weight_moves_with_the_chance_of_its_product():
    """One bit at a time, in the direction of the product, and not beyond 8 bits."""
    rule, n = Reckon(), 20000
    drawn = jax.random.bits(jax.random.key(0), (1, n), jnp.uint32)
    factor, trace = jnp.asarray([-(2**18)], jnp.int32), jnp.full(n, 4095, jnp.int32)
    moved = np.asarray(rule.update(jnp.zeros((1, n), jnp.int32), factor, trace, drawn))
    chance = 2**18 * 4095 / 2**32
    assert set(np.unique(moved)) == {-1, 0}
    assert abs(np.mean(moved == -1) - chance) < 4 * (chance * (1 - chance) / n) ** 0.5
    lowest = jnp.full((1, n), -128, jnp.int32)
    assert np.all(np.asarray(rule.update(lowest, factor, trace, drawn)) == -128)


def plain_decayed(rule, trace, spikes, drawn):
    """The readout's traces after a step, one number after the other."""
    after = []
    for old, spike, draw in zip(trace, spikes, drawn, strict=True):
        gained = sat(old + spike * (2 << rule.trace_shift), 0, 1023)
        whole, cut = divmod(gained * rule.kappa, 128)
        after.append(sat(whole + (1 if cut >= draw and whole else 0), 0, 1023))
    return after


@pytest.mark.parametrize("rule", [Reckon(), Reckon(kappa=200, trace_shift=7)], ids=str)
def test_traces_of_the_readout_equal_plain_integers(rule):
    draw, trace = plain.Random(0), [0] * 200
    jitted = jax.jit(rule.readout_trace)
    for _ in range(60):
        spikes = [int(draw.random() < 0.1) for _ in trace]
        drawn = [draw.randrange(128) for _ in trace]
        expected = plain_decayed(rule, trace, spikes, drawn)
        old, arrived = jnp.asarray(trace, jnp.int32), jnp.asarray(spikes, jnp.int32)
        found = jitted(old, arrived, jnp.asarray(drawn, jnp.uint32))
        assert found.tolist() == expected
        trace = expected
    assert max(trace) > 0


def test_errors_by_hand():
    """A hard sigmoid: 0 below -2048, 2048 above 2048, and half of it in between, rounded down."""
    outputs = jnp.asarray([-30000, -2048, -2047, 0, 5, 2047, 2048, 30000], jnp.int32)
    error = Reckon().error(outputs, jnp.zeros(8, jnp.int32))
    assert error.tolist() == [0, 0, 0, -1024, -1026, -2047, -2048, -2048]
    assert Reckon().error(outputs, jnp.full(8, 2048, jnp.int32)).tolist()[:4] == [2048] * 3 + [1024]
    louder = Reckon(output_shift=3).error(outputs, jnp.zeros(8, jnp.int32))
    assert louder.tolist() == [0, 0, 0, -1024, -1044, -2048, -2048, -2048]


def test_no_error_no_change_and_no_weight_to_itself():
    rule = Reckon()
    weight = jnp.arange(9, dtype=jnp.int32).reshape(3, 3)
    nothing = rule.update(weight, jnp.zeros(3, jnp.int32), weight[0], jnp.zeros((3, 3), jnp.uint32))
    assert nothing.tolist() == weight.tolist()
    assert np.diag(rule.without_diagonal(weight)).tolist() == [0, 0, 0]


def test_refusals():
    with pytest.raises(ValueError, match="thresholds must rise"):
        Reckon(thresholds=(3, 2, 1, 0))
    with pytest.raises(ValueError, match="kappa must fit 8 bits, 0 to 255, got 256"):
        Reckon(kappa=256)
    with pytest.raises(ValueError, match="must fit 5 bits, 0 to 31, got"):
        Reckon(boost=32)
    with pytest.raises(ValueError, match="output_shift must fit 3 bits, 0 to 7, got 8"):
        Reckon(output_shift=8)
    with pytest.raises(ValueError, match="levels must fit 5 bits"):
        Reckon(levels=(0, 0, 16, 0, 0))
