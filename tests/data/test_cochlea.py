import numpy as np
import pytest
from scipy import integrate, special

from tracegrad.data.cochlea import BasilarMembrane, BushyCell, Cochlea, HairCell
from tracegrad.data.events import Events
from tracegrad.errors import UsageError

SMALL = Cochlea(membrane=BasilarMembrane(channels=50))


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("hertz", [150.0, 1000.0, 3000.0])
@pytest.mark.parametrize("x", [0.5, 1.75])
def test_the_membrane_against_the_equations_by_quadrature(hertz, x):
    """Sieroka et al. 2006 written out once more, the integral by adaptive quadrature."""
    c0, a, alpha, m, h, omega = 1e8, 3500.0, 3.0, 0.05, 0.1, 2 * np.pi * hertz

    def xi(place):
        friction = 0.15 * np.sqrt(c0 * m) * np.exp(-alpha * place / 2)
        return c0 * np.exp(-alpha * place) - a - m * omega**2 - 1j * omega * friction

    def wave(place):
        return omega / np.sqrt(h * xi(place))

    def pressure(place):
        total = 2 / alpha * wave(0.0)
        total += integrate.quad(lambda u: wave(u).real, 0, place, limit=200)[0]
        total += 1j * integrate.quad(lambda u: wave(u).imag, 0, place, limit=200)[0]
        # Hankel's function by Macdonald's: the sum of Bessel's would cancel behind the peak.
        return np.sqrt(total / wave(place)) * 2 / (1j * np.pi) * special.kv(0, -1j * total)

    k = 2 * omega / alpha * np.sqrt(2 / (h * c0))
    bessels = (special.jv(n, k) + 1j * special.yv(n, k) for n in (0, 1))
    impedance = -1j * np.sqrt(2 * c0 / h) * next(bessels) / next(bessels)
    expected = 2 * omega / xi(x) * pressure(x) / pressure(0.0) * impedance
    membrane = BasilarMembrane(channels=351)  # a channel every 0.01 cm
    found = membrane.transfer(np.array([0.0, hertz]))[round(x * 100)]
    # 1e-3: the trapezoids of the sum.
    assert found[0] == 0 and abs(found[1] - expected) < 1e-3 * abs(expected)


def test_high_tones_move_the_base_and_low_tones_the_apex():
    tones = np.array([100.0, 300.0, 1000.0, 3000.0])
    best = np.abs(BasilarMembrane().transfer(tones)).argmax(axis=0)
    assert (np.diff(best) < -50).all()
    rates = []
    for tone in (200.0, 1000.0):
        sound = np.sin(2 * np.pi * tone * np.arange(1600) / 8000)
        events = SMALL(sound, 8000, rng())
        rates.append(np.bincount(events.line, minlength=50))
    low, high = (rate @ np.arange(50) / rate.sum() for rate in rates)
    spontaneous = BushyCell()(HairCell()(np.zeros((5520, 50)), 24000), 24000, rng())
    assert high + 5 < low and min(rate.sum() for rate in rates) > 3 * len(spontaneous)


def test_nothing_moves_before_the_sound():
    """A click: of its energy, band-limited at both ends, less than 2 % comes first."""
    sound = np.zeros(2000)
    sound[1000] = 1.0
    moved = SMALL.velocity(sound, 8000)
    energy = np.square(moved).sum(axis=1)
    assert energy[:3000].sum() < 0.02 * energy.sum()
    late = np.abs(moved).argmax(axis=0)
    assert late[30] > late[10] + 24  # the wave needs more than a millisecond on its way


def test_the_loudness_of_the_recording_does_not_matter():
    sound = rng().normal(size=4000)
    loud, quiet = (SMALL.velocity(factor * sound, 16000) for factor in (1.0, 0.01))
    np.testing.assert_allclose(loud, quiet, rtol=1e-9, atol=1e-9 * np.abs(loud).max())


def test_the_ends_are_faded_and_the_rest_is_left():
    faded = SMALL.faded(np.ones(4000), 16000)
    assert faded[0] == faded[-1] == 0 and (faded[480:-480] == 1).all()
    assert faded[240] == pytest.approx(0.5)


def test_rates_of_sound_give_the_same_wave():
    """A low tone sampled at 8, 16 and 48 kHz moves the membrane alike."""
    moved = []
    for rate in (8000, 16000, 48000):
        time = np.arange(round(0.12 * rate)) / rate
        moved.append(SMALL.velocity(np.sin(2 * np.pi * 400 * time), rate)[1000:2400])
    scale = np.abs(moved[0]).max()
    for other in moved[1:]:
        np.testing.assert_allclose(moved[0] / scale, other / scale, atol=0.02)


def test_hair_cells_rest_and_adapt():
    quiet = HairCell()(np.zeros((2400, 1)), 24000)
    level = 2000 * 5 / 305
    rest = 5.05 * level / (2500 * level + 5.05 * 9080) * 50000 / 24000
    np.testing.assert_allclose(quiet, rest, rtol=1e-9)
    step = np.zeros((4800, 1))
    step[1200:] = 100.0
    chance = HairCell()(step, 24000)[:, 0]
    assert chance[1200:1300].max() > 2 * chance[-1] > 2 * rest  # onset, then less


def test_hair_cells_against_plain_euler_steps():
    """Meddis 1986 for one cell, step by step."""
    velocity = 200 * rng().normal(size=300)
    q, c, w, k0 = 0.0, 0.0, 0.0, 2000 * 5 / 305
    c = 5.05 * k0 / (2500 * k0 + 5.05 * 9080)
    q, w, dt, expected = c * 9080 / k0, c * 6580 / 66.3, 1 / 24000, []
    for v in velocity:
        k = 2000 * (v + 5) / (v + 305) if v + 5 > 0 else 0.0
        dq = 5.05 * max(1 - q, 0) - k * q + 66.3 * w
        dc, dw = k * q - 9080 * c, 6580 * c - 66.3 * w
        q, c, w = q + dt * dq, c + dt * dc, w + dt * dw
        expected.append(min(50000 * dt * c, 1))
    np.testing.assert_allclose(HairCell()(velocity[:, None], 24000)[:, 0], expected, rtol=1e-9)


def bushy_by_fibres(chance: np.ndarray, rate: int, rng) -> np.ndarray:
    """Every fibre drawn on its own; spikes of each channel."""
    steps, channels = chance.shape
    last = np.full((channels, 40), -1000)
    v, i, ready = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    counts = np.zeros(channels)
    for t in range(steps):
        free = t - last >= rate // 1000
        out = free & (rng.random((channels, 40)) < chance[t][:, None])
        last[out] = t
        i = i * np.exp(-1 / (rate * 0.5e-3)) + out.sum(axis=1)
        v = np.where(t >= ready, v * np.exp(-1 / (rate * 1e-3)) + i * 13e3 / 40 / rate, 0.0)
        fired = v >= 1
        v[fired], ready[fired] = 0.0, t + rate // 1000
        counts += fired
    return counts


def test_bushy_cells_fire_as_often_as_with_fibres_drawn_one_by_one():
    chance = np.full((2400, 60), 0.008)
    ours = np.bincount(BushyCell()(chance, 24000, rng()).line, minlength=60)
    theirs = bushy_by_fibres(chance, 24000, np.random.default_rng(1))
    assert theirs.mean() > 10
    spread = np.sqrt((ours.var() + theirs.var()) / 60)
    assert abs(ours.mean() - theirs.mean()) < 4 * spread


def test_bushy_cells_are_silent_without_releases_and_refractory_with():
    events = BushyCell()(np.zeros((500, 3)), 24000, rng())
    assert isinstance(events, Events) and len(events) == 0 and events.lines == 3
    events = BushyCell()(np.ones((2400, 1)), 24000, rng())
    assert 20 < len(events) <= 100 and np.diff(events.time).min() >= 1000


def test_the_same_seed_the_same_spikes():
    sound = rng().normal(size=2000)
    first, again, other = (
        SMALL(sound, 16000, np.random.default_rng(seed)).time for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(4000), "A sound must not be silent"),
        (np.full(4000, np.nan), "A sound must be finite and last 0.06 s or more"),
        (np.ones(900), "A sound must be finite and last 0.06 s or more, has 900 samples"),
    ],
)
def test_refuses_a_sound(sound, message):
    with pytest.raises(UsageError, match=message):
        SMALL(sound, 16000, rng())


def test_refuses_settings():
    with pytest.raises(UsageError, match="rate must be at least 18160 Hz, got 8000"):
        Cochlea(rate=8000)
    with pytest.raises(UsageError, match="channels must be at least 2, got 1"):
        BasilarMembrane(channels=1)
