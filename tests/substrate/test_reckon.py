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
DRAWN = ("rounding", "drawn", "readout_rounding", "readout_drawn")


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
            z=[int(rng.random() < 0.3) for _ in range(N)],
            readout_rounding=[rng.randrange(2**7) for _ in range(N)],
            readout_drawn=matrix(OUT, N, 0, 2 ** (bits - 4) - 1),
        )
        for _ in range(STEPS)
    ]
    return matrix(N, M, -128, 127), matrix(OUT, N, -128, 127), steps


def cut(register, high, low):
    """Verilog's register[high:low]."""
    return (register >> low) & (2 ** (high - low + 1) - 1)


def signed(register, bits):
    return register - 2**bits if cut(register, bits - 1, bits - 1) else register


def stepped(trace, event, gain, decay, rand, bits, point):
    """`trace_inp_next`, or _rec or _out, of an event and then of a STEP."""
    if event:
        inc = cut(trace + gain, bits - 1, 0)
        trace = 2**bits - 1 if inc < trace else inc
    step = trace * decay
    whole = cut(step, point + bits - 1, point)
    stoc = decay != 2**point and cut(step, point - 1, 0) >= rand and whole != 0
    return cut(whole + stoc, bits - 1, 0)


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


def stoch_update(prob, w_in, lr_p, lr_r, rnd, width):
    """The module of this name; its `prob_m` no product here reaches."""
    lrp = abs(prob) << lr_p
    tot = min(lrp, 2**width - 1) >> lr_r
    if prob == 0 or tot < rnd:
        return w_in
    updated = signed(cut(w_in + (-1 if prob < 0 else 1), 7, 0), 8)
    overflow = (w_in < 0 <= updated and prob < 0) or (updated < 0 <= w_in and prob > 0)
    return w_in if overflow else updated


def reference(rule, winp, wout, steps):
    """Traces, learning signals and weights of every step, one number after the other."""
    inp, out, seen = [0] * M, [0] * N, []
    place = rule.trace_shift  # SPI_FP_LOC_TINP and SPI_FP_LOC_TOUT
    for now in steps:
        events = zip(inp, now["spikes"], now["rounding"], strict=True)
        inp = [stepped(t, e, 8 << place, rule.decay, r, bits=12, point=15) for t, e, r in events]
        events = zip(out, now["z"], now["readout_rounding"], strict=True)
        out = [stepped(t, e, 2 << place, rule.kappa, r, bits=10, point=7) for t, e, r in events]
        error, drawn = now["error"], now["drawn"]
        signals = [
            learning_signal(error, [row[j] for row in wout], rule.signal_shift) for j in range(N)
        ]
        for j in range(N):
            h = update_h(now["v"][j], rule.thresholds, rule.levels)
            for i in range(M):
                prob = signals[j] * (inp[i] >> place) * h  # of `trace_inp_eprop`
                winp[j][i] = stoch_update(prob, winp[j][i], rule.boost, rule.rate, drawn[j][i], 32)
        for k in range(OUT):
            for j in range(N):
                prob, rnd = error[k] * (out[j] >> place), now["readout_drawn"][k][j]
                wout[k][j] = stoch_update(prob, wout[k][j], rule.readout_boost, rule.rate, rnd, 28)
        seen.append((list(inp), list(out), signals, *([list(r) for r in w] for w in (winp, wout))))
    return seen


def ours(rule):
    @jax.jit
    def run(weight, readout, steps):
        def body(carried, now):
            inp, out, weight, readout = carried
            inp = rule.trace(inp, now["spikes"], now["rounding"])
            out = rule.readout_trace(out, now["z"], now["readout_rounding"])
            signal = rule.signal(now["error"], readout)
            weight = rule.update(weight, signal * rule.slope(now["v"]), inp, now["drawn"])
            readout = rule.readout_update(readout, now["error"], out, now["readout_drawn"])
            return (inp, out, weight, readout), (inp, out, signal, weight, readout)

        still = (jnp.zeros(M, jnp.int32), jnp.zeros(N, jnp.int32))
        return jax.lax.scan(body, (*still, weight, readout), steps)[1]

    return run


def compared(rule, seeds):
    """Networks that differ in any bit, and how many weights of each matrix moved."""
    run, wrong, moved = ours(rule), 0, np.zeros(2, int)
    for seed in seeds:
        weight, readout, steps = draw(seed)
        start = [np.asarray(w) for w in (weight, readout)]
        arrays = {
            k: jnp.asarray(
                np.asarray([s[k] for s in steps]), jnp.uint32 if k in DRAWN else jnp.int32
            )
            for k in steps[0]
        }
        found = run(*(jnp.asarray(w, jnp.int32) for w in start), arrays)
        expected = [
            np.asarray(x) for x in zip(*reference(rule, weight, readout, steps), strict=True)
        ]
        wrong += any(not np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        ends = (np.asarray(w[-1]) for w in found[3:])
        moved += [np.sum(end != before) for end, before in zip(ends, start, strict=True)]
    return wrong, moved


# Of the third one traces die within a few steps, where rounding up must not revive them; of the
# last two they do not decay, or rise until they wrap.
RULES = [
    Reckon(),
    Reckon(rate=3, boost=6, readout_boost=4, trace_shift=7, signal_shift=6),
    Reckon(decay=9000, trace_shift=0, signal_shift=10),
    Reckon(boost=9, readout_boost=9, rate=2, trace_shift=1),
    Reckon(boost=3, trace_shift=3),
    Reckon(decay=2**15, kappa=2**7),
    Reckon(decay=40000, kappa=200, trace_shift=7, boost=3, readout_boost=3),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_equals_plain_integers_on_300_networks(rule):
    wrong, moved = compared(rule, range(300))
    assert wrong == 0
    assert min(moved) > 500, f"weights must have moved: {moved}"


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
@pytest.mark.parametrize("update", [Reckon.update, Reckon.readout_update])
def test_a_product_sees_a_trace_without_the_bits_behind_its_radix_point(update, shift):
    """Whatever stands there, the weight moves at a draw as large as the bits before, not above."""
    rule, one = Reckon(trace_shift=shift), jnp.ones(1, jnp.int32)
    whole = jnp.arange(1, 100, dtype=jnp.int32)
    still = jnp.zeros((1, whole.size), jnp.int32)
    for behind in range(2**shift):
        trace = (whole << shift) + behind
        for above, moves in ((0, whole.size), (1, 0)):
            drawn = (whole + above).astype(jnp.uint32)[None]
            moved = update(rule, still, one, trace, drawn)
            assert int(jnp.sum(moved == 1)) == moves, (behind, above)
        nothing = update(rule, still, one, 0 * whole + behind, 0 * drawn)
        assert not np.any(nothing), "not even by a draw of zero"


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
