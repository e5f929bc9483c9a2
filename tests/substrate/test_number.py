"""Numbers: cases by hand, plain Python integers as reference, and the statistics of chance."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from tracegrad.substrate.fixed import Fixed, Saturate, Wrap
from tracegrad.substrate.number import Number
from tracegrad.substrate.rounding import Floor, Lfsr, Nearest, Stochastic
from tracegrad.substrate.shift import add, shift_decay, shift_of

FORMATS = [Fixed(2, 0), Fixed(8, 4), Fixed(8, -2), Fixed(7, 0, signed=False), Fixed(16, 12)]
FORMATS += [Fixed(24, 10), Fixed(8, 4, overflow=Wrap()), Fixed(12, 3, False, Wrap())]


def f32(values):
    return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize(
    ("format", "value", "held"),
    [
        (Fixed(8, 0), 127 + 1, 127),
        (Fixed(8, 0, overflow=Wrap()), 127 + 1, -128),
        (Fixed(8, 0), -129, -128),
        (Fixed(8, 0, overflow=Wrap()), -129, 127),
        (Fixed(8, 0, signed=False), 256, 255),
        (Fixed(8, 0, False, Wrap()), 256, 0),
        (Fixed(8, 0, False), -3, 0),
        (Fixed(8, 4), 0.03125, 0.0),  # half a bit goes to the even one
        (Fixed(8, 4), 0.09375, 0.125),
        (Fixed(8, 4), 100.0, 7.9375),
        (Fixed(8, -2), 6.1, 8.0),
    ],
)
def test_hand_computed(format, value, held):
    assert float(Number(format)(f32(float(value)))) == held


def test_int8_traps_in_whole_numbers():
    int8 = Fixed(8)
    a, b = jnp.asarray([127, -128, 100, -100]), jnp.asarray([1, -1, 100, -100])
    assert add(a, b, int8).tolist() == [127, -128, 127, -128]
    assert add(a, b, Fixed(8, overflow=Wrap())).tolist() == [-128, 127, -56, 56]


def plain(value, format, floor):
    """The same in Python integers and fractions."""
    x = Fraction(float(value)) * Fraction(2) ** format.fraction
    k = math.floor(x) if floor else round(x)
    low = -(2 ** (format.bits - 1)) if format.signed else 0
    count = 2**format.bits
    if isinstance(format.overflow, Saturate):
        k = max(low, min(low + count - 1, k))
    else:
        k = (k - low) % count + low
    return float(Fraction(k) / Fraction(2) ** format.fraction)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_equals_python_integers(format):
    rng = np.random.default_rng(0)
    span = 2.0 ** (format.bits - format.fraction)
    values = (rng.uniform(-1.5, 1.5, 200) * span).astype(np.float32)
    values[:20] = rng.integers(-9, 9, 20) * 0.5 * format.lsb
    for rounding in (Nearest(), Floor()):
        held = jax.jit(Number(format, rounding).__call__)(f32(values))
        expected = [plain(v, format, isinstance(rounding, Floor)) for v in values]
        assert held.dtype == jnp.float32
        assert np.asarray(held).tolist() == expected


def test_not_a_number_is_not_hidden():
    assert jnp.isnan(Number(Fixed(8, 4))(f32(jnp.nan)))


@pytest.mark.parametrize("format", [Fixed(4, 0), Fixed(8, 4), Fixed(16, 12), Fixed(7, -1, False)])
def test_stochastic_rounding_is_unbiased(format):
    """A million draws: the mean within 4 sigma of the value, and only the two neighbours occur."""
    draws = 10**6
    for index, rest in enumerate((0.1, 0.5, 0.937)):
        value = np.float32((3 + rest) * format.lsb)
        number = Number(format, Stochastic())
        x = jnp.full(draws, value)
        held, state = number.hold(x, number.start(random.key(index)))
        whole = np.asarray(held, np.float64) / format.lsb
        assert set(np.unique(whole)) == {3.0, 4.0}
        exact = float(value) / format.lsb - 3
        sigma = math.sqrt(exact * (1 - exact) / draws)
        assert abs(whole.mean() - 3 - exact) < 4 * sigma
        assert int(state.used) == 1


def test_draws_are_independent_across_elements_and_steps_unless_shared():
    steps, n = 2000, 20
    x = jnp.full((n,), 0.5, jnp.float32)

    def run(rounding):
        def step(state, _):
            held, state = rounding(x, state)
            return state, held

        return np.asarray(jax.lax.scan(step, rounding.start(random.key(3)), None, steps)[1])

    free = run(Stochastic())
    pairs = np.corrcoef(free.T)[np.triu_indices(n, 1)]
    assert np.abs(pairs).max() < 5 / math.sqrt(steps)  # 190 pairs: 4 sigma would be met by chance
    lagged = [np.corrcoef(free[1:, j], free[:-1, j])[0, 1] for j in range(n)]
    assert np.abs(lagged).max() < 5 / math.sqrt(steps)
    assert 0.45 < free.mean() < 0.55
    shared = run(Stochastic(shared=True))
    assert np.all(shared == shared[:, :1]), "one draw a step for all"
    assert 0.45 < shared.mean() < 0.55


def test_same_seed_same_bits_in_every_program():
    """Alone, compiled, mapped and inside a scan: an element's draw depends on its index only."""
    x = jnp.linspace(-3, 3, 600, dtype=jnp.float32).reshape(2, 300)
    rounding = Stochastic()
    start = rounding.start(random.key(0))
    held, later = rounding(x, start)
    again, _ = jax.jit(rounding.__call__)(x, start)
    assert np.array_equal(held, again)
    in_scan = jax.lax.scan(lambda s, x: rounding(x, s)[::-1], start, jnp.stack([x, x]))[1]
    assert np.array_equal(in_scan[0], held)
    assert np.array_equal(in_scan[1], rounding(x, later)[0])
    assert not np.array_equal(in_scan[0], in_scan[1])
    # Two words by threefry, mixed with the index: these bits are the same on every machine.
    words = np.asarray(random.key_data(random.fold_in(random.key(0), 0))).tolist()
    assert held.ravel().tolist() == [
        math.floor(v) + ((draw(words, index) >> 8) * 2.0**-24 < v - math.floor(v))
        for index, v in enumerate(x.ravel().tolist())
    ]


def draw(words, index):
    """Of an element, in Python's integers."""
    index ^= words[0]
    for product, shift in ((0x21F0AAAD, 16), (0xD35A2D97, 15)):
        index = (index ^ index >> shift) * product & 0xFFFFFFFF
    return index ^ index >> 15 ^ words[1]


def test_lfsr_equals_a_register_of_python_integers():
    lfsr = Lfsr(width=16, taps=(16, 15, 13, 4), seed=0xACE1)
    x = jnp.asarray(np.random.default_rng(0).uniform(-4, 4, 300), jnp.float32)
    held, state = lfsr(x, lfsr.start(random.key(0)))
    register, expected = 0xACE1, []
    for value in x.tolist():
        fed = (register >> 15 ^ register >> 14 ^ register >> 12 ^ register >> 3) & 1
        register = (register << 1 | fed) & 0xFFFF
        expected.append(math.floor(value) + (register / 2**16 < value - math.floor(value)))
    assert held.tolist() == expected
    assert int(state) == register
    next_held, _ = lfsr(x, state)
    assert held.tolist() != next_held.tolist()


def test_lfsr_of_maximal_length_visits_every_state():
    lfsr = Lfsr(width=8, taps=(8, 6, 5, 4), seed=1)
    register, seen = lfsr.start(random.key(0)), set()
    for _ in range(255):
        register = lfsr.advance(register)
        seen.add(int(register))
    assert len(seen) == 255


def test_shift_decay_equals_python_integers():
    values = np.arange(-40, 41).astype(np.int32)
    for shift in (0, 1, 3, 5):
        d = np.full_like(values, shift)
        for least in (0, 1):
            held = shift_decay(jnp.asarray(values), jnp.asarray(d), least)
            expected = [
                v - (max(v >> shift, least) if v > 0 else v >> shift) for v in values.tolist()
            ]
            assert held.tolist() == expected
    assert int(shift_decay(jnp.asarray(7), jnp.asarray(3), 0)) == 7, "stuck below 2^3"
    assert int(shift_decay(jnp.asarray(7), jnp.asarray(3), 1)) == 6, "the linear tail"


def test_shift_of_a_decay():
    assert shift_of(jnp.asarray([0.0, 0.5, 0.9, 0.95, 1 - 2.0**-15])).tolist() == [0, 1, 3, 4, 15]


@pytest.mark.parametrize("bits", [1, 25])
def test_widths_that_are_not_exact_are_refused(bits):
    with pytest.raises(ValueError, match=f"from 2 to 24, got {bits}"):
        Fixed(bits)


def test_other_refusals():
    with pytest.raises(ValueError, match="needs its generator"):
        Number(Fixed(8), Stochastic())(f32(1.0))
    with pytest.raises(ValueError, match="2 to 32 bits"):
        Lfsr(width=40, taps=(40,))
    with pytest.raises(ValueError, match="must not be zero"):
        Lfsr(width=8, taps=(8,), seed=0)
