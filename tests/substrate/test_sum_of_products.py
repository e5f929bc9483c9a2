"""Sums of products: text and value are one, Python's own arithmetic agrees, limits are kept."""

import numpy as np
import pytest

from tracegrad.substrate.sum_of_products import (
    RANGES,
    Factor,
    Filter,
    Product,
    SumOfProducts,
    by_chance,
    check,
    learn,
    parse,
    run,
)

NAMES = tuple(RANGES)


def drawn(draw):
    """Any rule of the grammar, whether or not it fits."""
    products = []
    for _ in range(draw.integers(1, 5)):
        factors = []
        for _ in range(draw.integers(0, 4)):
            if draw.random() < 0.2:
                factors.append(Factor(f"sgn({draw.choice(list('wdt'))})"))
            else:
                plus = int(draw.integers(-9, 10)) * (draw.random() < 0.4)
                factors.append(Factor(str(draw.choice(NAMES)), plus))
        mantissa = int(draw.choice([m for m in range(-8, 8) if m]))
        dependency = str(draw.choice(["x0", "y0", "u0", "u3"]))
        scale = mantissa, int(draw.integers(-7, 9))
        products.append(Product(*scale, dependency, tuple(factors)))
    return SumOfProducts(str(draw.choice(list("wdt"))), tuple(products))


@pytest.mark.parametrize("seed", range(50))
def test_a_printed_rule_is_read_as_itself_and_means_what_python_reads(seed):
    draw = np.random.default_rng(seed)
    rule = drawn(draw)
    text = str(rule)
    assert parse(text) == rule
    assert parse(text.replace(" ", "")) == rule
    values = {name: int(draw.integers(low, high + 1)) for name, (low, high) in RANGES.items()}
    for epoch in (8, 12):
        code = text.partition("=")[2].replace("^", "**").replace("sgn", "np.sign").strip()
        known = values | {"np": np, "u0": 1, "u3": int(epoch % 8 == 0)}
        assert rule.value(values, epoch) == eval(code, {}, known)
        assert rule.range[0] <= rule.value(values, epoch) <= rule.range[1]


def test_the_rules_that_lava_documents_are_read():
    tag = parse("dt = u0*x1*y1 - 2^-3*u0*t")
    one, leak = tag.products
    assert one == Product(1, 0, "u0", (Factor("x1"), Factor("y1")))
    assert leak == Product(-1, -3, "u0", (Factor("t"),))
    assert parse("dw = 2^-2*u0*t*y3").products[0].scale == 0.25
    assert parse("dd=-x0*(y1+3)").products[0].factors == (Factor("y1", 3),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dv = u0*x1", "must start with dw =, dd = or dt ="),
        ("dw = x1*y1", "must have a dependency, x0, y0 or u_k, and has none. Add u0"),
        ("dw = u0*x3", "A factor must be one of x0, .* got 'x3' in u0\\*x3"),
        ("dw = u0*v", "got 'v' in u0\\*v"),
        ("dw = u0*x1/y1", "got 'x1/y1'"),
        ("dw = ", "must be a sum of products"),
        ("dw = u0*(x1 + (2))", "must be a sum of products"),
    ],
)
def test_what_is_no_rule_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dw = 2^-1*u0*x1*y1"], r"2\^-1\*u0\*x1\*y1 must fit 15 bits and a sign, may need 16"),
        (["dw = 2^-7*u0*x1*x2*y1*y2"], "may need 24. Lower its exponent, or use fewer factors"),
        (["dw = 2^-7*u0*(x1 + 1)*x2*y1"], "may need 18"),
        (["dw = " + " + ".join(["7*2^-2*u0*x1*y1"] * 2)], "may reach 0 to 56,452"),
        (["dt = -8*2^-3*u0*t*x1 - 8*2^-3*u0*t*x1"], "may reach -64,770 to 65,024"),
        (["dw = 8*u0*x1"], "m from -8 to 7, not 0, and e from -7 to 8, got 8 2"),
        (["dw = 2^-8*u0*x1"], "got 1 2\\^-8"),
        (["dw = 2^9*x0"], "got 1 2\\^9"),
        (["dw = u0*x1", "dt = u1*x1"], "must share one u_k, got u0, u1"),
    ],
)
def test_what_the_engine_cannot_hold_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        check(map(parse, texts))


def test_what_fits_is_not_refused():
    check([parse("dw = 7*2^-2*u0*x1*y1 - 7*2^-2*u0*x1*y2"), parse("dt = 2^5*u0*x1 - 2^4*u0*t")])


def test_a_sum_that_overflows_on_the_way_stops():
    rule, high = parse("dw = 2^2*u0*x1*y1"), {"x1": np.array([127]), "w": np.zeros((1, 1))}
    with pytest.raises(ValueError, match="reached 64,516 at epoch 3. Lower the exponents"):
        learn([rule], high | {"y1": np.array([[127]])}, 3, np.floor)
    assert learn([rule], high | {"y1": np.array([[1]])}, 3, np.floor)["w"] == 254


def plain(spikes, heard, decay):
    """An eligibility in the tag and a third factor, in Python's whole numbers; rounded down."""
    n, m = len(heard["y1"][0]), len(spikes[0])
    x = [0] * m
    t, w = ([[0] * m for _ in range(n)] for _ in range(2))
    for step, now in enumerate(spikes):
        x = [min(127, int(decay * a) + 16 * int(s)) for a, s in zip(x, now, strict=True)]
        for i in range(n):
            y1, y2, y3 = (int(heard[name][step][i]) for name in ("y1", "y2", "y3"))
            for j in range(m):
                dt = (x[j] * y1 - 6 * t[i][j]) // 128
                dw = t[i][j] * (y2 - y3) // 64
                t[i][j] = max(-256, min(255, t[i][j] + dt))
                w[i][j] = max(-256, min(254, w[i][j] + dw))
    return t, w


def test_a_run_is_that_of_whole_numbers_by_hand():
    draw = np.random.default_rng(0)
    rules = [
        parse("dt = 2^-7*u0*x1*y1 - 3*2^-6*u0*t"),
        parse("dw = 2^-6*u0*t*y2 - 2^-6*u0*t*y3"),
    ]
    saturated = 0
    for rate in np.linspace(0.1, 0.9, 20):  # above a half the traces of lines saturate
        spikes = (draw.random((40, 4)) < rate).astype(float)
        heard = {f"y{k}": draw.integers(0, 128, (40, 3)).astype(float) for k in (1, 2, 3)}
        start = dict.fromkeys("wt", np.zeros((3, 4)))
        found = run(rules, [Filter(0.9375)], spikes, heard, start, np.floor)
        t, w = plain(spikes, heard, 0.9375)
        assert np.array_equal(found["t"], t) and np.array_equal(found["w"], w)
        saturated += int(np.sum(np.abs(w) >= 254))
    assert saturated


def test_rounding_by_chance_is_right_in_the_mean_for_each_or_for_all():
    x = np.full(10**5, 3.3)
    own = by_chance(np.random.default_rng(0))(x)
    assert abs(own.mean() - 3.3) < 4 * np.sqrt(0.21 / len(x))
    shared = by_chance(np.random.default_rng(0), shared=True)
    calls = np.array([shared(x[:3]) for _ in range(2000)])
    assert np.all(calls == calls[:, :1])
    assert abs(calls.mean() - 3.3) < 4 * np.sqrt(0.21 / 2000)
