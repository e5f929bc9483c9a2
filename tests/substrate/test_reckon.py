"""ReckOn's rule equals plain Python integers on random networks, draws of a register included.

The integers are written from the chip's own source, ChFrenkel/ReckOn 5e5c0be, src/srnn.v, register
by register and by the names there.
"""

import random as plain

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tracegrad.substrate.reckon import Reckon

M, N, OUT, STEPS = 5, 6, 3, 20


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


def cut(register, high, low):
    """Verilog's register[high:low]."""
    return (register >> low) & (2 ** (high - low + 1) - 1)


def signed(register, bits):
    return register - 2**bits if cut(register, bits - 1, bits - 1) else register


def stepped(trace, event, gain, decay, rand):
    """`trace_inp_next` of an event and then of a STEP; of 12 bits, alpha of 15 behind the point."""
    if event:
        inc = cut(trace + gain, 11, 0)
        trace = 0xFFF if inc < trace else inc
    step = trace * decay
    stoc = cut(step, 14, 0) >= rand and cut(step, 26, 15) != 0
    return cut(cut(step, 26, 15) + stoc, 11, 0)


def learning_signal(errors, wout, scale):
    """`neur_learn_sigs_temp2`."""
    psum = sum(error * weight for error, weight in zip(errors, wout, strict=True))
    temp1 = psum << scale
    if cut(temp1, 43, 27) != (2**17 - 1 if psum < 0 else 0):
        return -0x8000 if psum < 0 else 0x7FFF
    return signed(cut(temp1, 27, 12), 16)


def update_h(u, thresholds, levels):
    for threshold, level in zip(thresholds, levels, strict=False):
        if u < threshold:
            return level
    return levels[-1]


def stoch_update(prob, w_in, lr_p, lr_r, rnd):
    """The module of this name, with WIDTH_IN = 32; its `prob_m` no product here reaches."""
    lrp = abs(prob) << lr_p
    tot = min(lrp, 2**32 - 1) >> lr_r
    if prob == 0 or tot < rnd:
        return w_in
    updated = signed(cut(w_in + (-1 if prob < 0 else 1), 7, 0), 8)
    overflow = (w_in < 0 <= updated and prob < 0) or (updated < 0 <= w_in and prob > 0)
    return w_in if overflow else updated


def reference(rule, weight, readout, steps):
    """Traces, learning signals and input weights of every step, one number after the other."""
    trace, out = [0] * M, []
    tinp = rule.trace_shift  # SPI_FP_LOC_TINP
    for now in steps:
        events = zip(trace, now["spikes"], now["rounding"], strict=True)
        trace = [stepped(old, event, 8 << tinp, rule.decay, rand) for old, event, rand in events]
        signals = [
            learning_signal(now["error"], [row[j] for row in readout], rule.signal_shift)
            for j in range(N)
        ]
        for j in range(N):
            h = update_h(now["v"][j], rule.thresholds, rule.levels)
            for i in range(M):
                prob = signals[j] * (trace[i] >> tinp) * h  # of `trace_inp_eprop`
                rnd = now["drawn"][j][i]
                weight[j][i] = stoch_update(prob, weight[j][i], rule.boost, rule.rate, rnd)
        out.append((list(trace), signals, [list(row) for row in weight]))
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


# The third one's traces die within a few steps, where rounding up must not revive them.
RULES = [
    Reckon(),
    Reckon(rate=3, boost=6, trace_shift=7, signal_shift=6),
    Reckon(decay=9000, trace_shift=0, signal_shift=10),
    Reckon(boost=9, rate=2, trace_shift=1),
    Reckon(boost=3, trace_shift=3),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_equals_plain_integers_on_300_networks(rule):
    wrong, moved = compared(rule, range(300))
    assert wrong == 0
    assert moved > 1000, "weights must have moved"


def test_a_weight_moves_with_the_chance_of_its_product():
    """One bit at a time, in the direction of the product, and not beyond 8 bits."""
    rule, n = Reckon(trace_shift=0), 20000
    drawn = jax.random.bits(jax.random.key(0), (1, n), jnp.uint32)
    factor, trace = jnp.asarray([-(2**18)], jnp.int32), jnp.full(n, 4095, jnp.int32)
    moved = np.asarray(rule.update(jnp.zeros((1, n), jnp.int32), factor, trace, drawn))
    chance = 2**18 * 4095 / 2**32
    assert set(np.unique(moved)) == {-1, 0}
    assert abs(np.mean(moved == -1) - chance) < 4 * (chance * (1 - chance) / n) ** 0.5
    lowest = jnp.full((1, n), -128, jnp.int32)
    assert np.all(np.asarray(rule.update(lowest, factor, trace, drawn)) == -128)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_product_sees_a_trace_without_the_bits_behind_its_radix_point(shift):
    """Whatever stands there, the weight moves at a draw as large as the bits before, not above."""
    rule = Reckon(trace_shift=shift)
    whole = jnp.arange(1, 100, dtype=jnp.int32)
    for behind in range(2**shift):
        trace, still = (whole << shift) + behind, jnp.zeros((1, whole.size), jnp.int32)
        for above, moves in ((0, whole.size), (1, 0)):
            drawn = (whole + above).astype(jnp.uint32)[None]
            moved = rule.update(still, jnp.ones(1, jnp.int32), trace, drawn)
            assert int(jnp.sum(moved == 1)) == moves, (behind, above)
        nothing = jnp.full(whole.size, behind, jnp.int32)
        at_zero = jnp.zeros((1, whole.size), jnp.uint32)
        assert not np.any(rule.update(still, jnp.ones(1, jnp.int32), nothing, at_zero))


def plain_decayed(rule, trace, spikes, drawn):
    """`trace_out_next` of an event and then of a STEP; of 10 bits, kappa of 7 behind the point."""
    after = []
    for old, spike, draw in zip(trace, spikes, drawn, strict=True):
        if spike:
            inc = cut(old + (2 << rule.trace_shift), 9, 0)
            old = 0x3FF if inc < old else inc
        step = old * rule.kappa
        stoc = cut(step, 6, 0) >= draw and cut(step, 16, 7) != 0
        after.append(cut(cut(step, 16, 7) + stoc, 9, 0))
    return after


@pytest.mark.parametrize("rule", [Reckon(), Reckon(kappa=120, trace_shift=7)], ids=str)
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
    for name in ("output_shift", "trace_shift"):
        with pytest.raises(ValueError, match=f"{name} must fit 3 bits, 0 to 7, got 8"):
            Reckon(**{name: 8})
    with pytest.raises(ValueError, match="levels must fit 5 bits"):
        Reckon(levels=(0, 0, 16, 0, 0))
