r"""Cochlea: sound to spikes by basilar membrane, hair cells and bushy cells, as SHD was made."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex128, Float, Float64

from tracegrad.data.events import MICROSECONDS, Events
from tracegrad.errors import UsageError

FINE = 1400  # places along the membrane at which the wave number is summed, at least


@dataclass(frozen=True)
class BasilarMembrane:
    r"""Velocity of the membrane at `channels` places, base (high tones) to apex, in shallow water.

    $\xi = S(x) - m\omega^2 - i\omega R(x),\quad S = C_0 e^{-\alpha x} - a,\quad
    R = R_0 e^{-\alpha x/2},\quad R_0 = \delta\sqrt{C_0 m}$   (1)

    $g = \omega\sqrt{\rho/(h\,\xi)},\quad G = \tfrac{2}{\alpha} g(0) + \int_0^x g\,dx',\quad
    P = \sqrt{G/g}\;H_0^{(1)}(G)$   (2)

    $V = \frac{2\omega}{\xi}\,\frac{P(x)}{P(0)}\,Z,\quad Z = -i\sqrt{2C_0/h}\;
    H_0^{(1)}(k)/H_1^{(1)}(k),\quad k = \frac{2\omega}{\alpha}\sqrt{2/(h C_0)}$   (3)

    in the convention $e^{-i\omega t}$; `length` is x at the apex in cm, the others in CGS units.
    Source: Sieroka, Dosch, Rupp 2006 (equations), with the constants of Cramer et al. 2020, read
    off their released program. Ours: the integral is summed, not in closed form, and the phase of
    Z follows the same convention, so that no place moves before the sound.
    """

    channels: int = 700
    length: float = 3.5
    c0: float = 1e8
    a: float = 3500.0
    alpha: float = 3.0
    rho: float = 1.0
    delta: float = 0.15
    h: float = 0.1
    m: float = 0.05

    def __post_init__(self) -> None:
        """One place would have no length."""
        if self.channels < 2:
            raise UsageError(f"channels must be at least 2, got {self.channels}.")

    def transfer(
        self, frequencies: Float64[np.ndarray, "F"]
    ) -> Complex128[np.ndarray, "channels F"]:
        """Equation (3) at `frequencies` in hertz, 0 at 0; O(`channels` F) Hankel functions."""
        from scipy.special import hankel1  # here: it takes a quarter of a second to import

        omega = 2 * np.pi * np.where(frequencies > 0, frequencies, 1.0)
        xi, wave, total = self._wave(omega)
        pressure = np.sqrt(total / wave) * hankel1(0, total)
        k = 2 * omega / self.alpha * np.sqrt(2 / (self.h * self.c0))
        impedance = -1j * np.sqrt(2 * self.c0 / self.h) * hankel1(0, k) / hankel1(1, k)
        gain = 2 * omega / xi * pressure / pressure[0] * impedance
        return np.where(frequencies > 0, gain, 0.0)

    def _wave(self, omega: Float64[np.ndarray, "F"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Equations (1) and (2) at the channels: xi, g, G."""
        finer = -(-FINE // self.channels)
        x = np.linspace(0, self.length, (self.channels - 1) * finer + 1)[:, None]
        stiffness = self.c0 * np.exp(-self.alpha * x) - self.a
        resistance = self.delta * np.sqrt(self.c0 * self.m) * np.exp(-self.alpha * x / 2)
        xi = stiffness - self.m * omega**2 - 1j * omega * resistance
        wave = omega * np.sqrt(self.rho / (self.h * xi))
        steps = (wave[1:] + wave[:-1]) * (x[1, 0] / 2)
        total = np.concatenate([np.zeros((1, len(omega))), np.cumsum(steps, axis=0)])
        return xi[::finer], wave[::finer], (total + 2 / self.alpha * wave[0])[::finer]


@dataclass(frozen=True)
class HairCell:
    r"""Three pools of transmitter: free q, in the cleft c, to be used again w; Euler steps.

    $k = g\,\frac{[v+A]_+}{[v+A]_+ + B},\quad \dot q = y\,[M-q]_+ - kq + Xw,\quad
    \dot c = kq - (l+r)c,\quad \dot w = rc - Xw$   (1)

    A fibre releases with the rate $h c$ (hertz). Source: Meddis 1986, 1988, with the constants of
    Cramer et al. 2020, read off their released program.
    """

    a: float = 5.0
    b: float = 300.0
    g: float = 2000.0
    y: float = 5.05
    l: float = 2500.0  # noqa: E741  # the symbol of the source
    r: float = 6580.0
    x: float = 66.3
    h: float = 50000.0
    m: float = 1.0

    def __call__(
        self, velocity: Float64[np.ndarray, "T channels"], rate: int
    ) -> Float64[np.ndarray, "T channels"]:
        """The chance of a release in each step of 1/`rate` s; starts at rest."""
        dt = 1 / rate
        k = self.g * self.a / (self.a + self.b)
        level = self.m * self.y * k / (self.l * k + self.y * (self.l + self.r))
        cleft = np.full(velocity.shape[1], level)
        free, again = cleft * (self.l + self.r) / k, cleft * self.r / self.x
        pushed = np.maximum(velocity + self.a, 0.0)
        share = self.g * dt * pushed / (pushed + self.b)
        chance = np.empty_like(velocity)
        for t, ejected in enumerate(share):
            out, back, lost = ejected * free, self.x * dt * again, self.r * dt * cleft
            free = free + self.y * dt * np.maximum(self.m - free, 0.0) - out + back
            cleft, again = cleft + out - (self.l + self.r) * dt * cleft, again + lost - back
            chance[t] = self.h * dt * cleft
        return np.minimum(chance, 1.0)


@dataclass(frozen=True)
class BushyCell:
    """A leaky cell that hears `fibres` fibres of one place; each and the cell itself is refractory.

    A release adds `weight`/`fibres` to a current that decays with `tau_syn`; the current charges a
    membrane of `tau_mem` up to a threshold of 1. Times in seconds. The fibres of a place are alike,
    so how many of those that may release do so is drawn from a binomial distribution, which is the
    same as drawing for each. Source: Cramer et al. 2020, constants read off their released program.
    """

    fibres: int = 40
    tau_mem: float = 1e-3
    tau_syn: float = 0.5e-3
    refractory: float = 1e-3
    weight: float = 13e3

    def __call__(
        self, chance: Float64[np.ndarray, "T channels"], rate: int, rng: np.random.Generator
    ) -> Events:
        """Spikes; line is the channel."""
        rest, charge = round(self.refractory * rate), self.weight / self.fibres / rate
        keep, hold = np.exp(-1 / (rate * self.tau_mem)), np.exp(-1 / (rate * self.tau_syn))
        channels = chance.shape[1]
        free, resting = np.full(channels, self.fibres), np.zeros((rest, channels), np.int64)
        v, current, ready = np.zeros(channels), np.zeros(channels), np.zeros(channels, np.int64)
        steps, lines = [], []
        for t, now in enumerate(chance):
            free += resting[t % rest]
            released = resting[t % rest] = rng.binomial(free, now)
            free -= released
            current = current * hold + released
            v = np.where(t >= ready, v * keep + current * charge, 0.0)
            fired = np.flatnonzero(v >= 1)
            v[fired], ready[fired] = 0.0, t + rest
            steps.append(np.full(len(fired), t))
            lines.append(fired)
        time = np.rint(np.concatenate(steps) * (MICROSECONDS / rate)).astype(np.int64)
        return Events(time, np.concatenate(lines), channels)


@dataclass(frozen=True)
class Cochlea:
    """The whole way: loudness set, ends faded, membrane, hair cells, bushy cells.

    `loudness` is the root mean square of the sound, 0.3 as in the source; `ramp` seconds at either
    end are faded with half a Hann window (ours, 30 ms); inside, `rate` hertz are computed (ours,
    24 kHz, half the rate of SHD's recordings, as in the source), whatever the rate of the sound.
    Costs some two seconds for a second of sound, two more for the first of a length. Of memory it
    takes 250 MB for 0.3 s of sound at 8 kHz, 2 GB for 2.3 s.

        events = Cochlea()(signal, 16000, np.random.default_rng(0))  # 700 lines
    """

    membrane: BasilarMembrane = BasilarMembrane()
    hair: HairCell = HairCell()
    bushy: BushyCell = BushyCell()
    rate: int = 24000
    loudness: float = 0.3
    ramp: float = 30e-3

    def __post_init__(self) -> None:
        """Euler steps must be short against the fastest pool, and refractoriness a step or more."""
        fastest = max(self.hair.l + self.hair.r, 1 / self.bushy.refractory)
        if self.rate < 2 * fastest:
            raise UsageError(f"rate must be at least {2 * fastest:g} Hz, got {self.rate}.")

    def __call__(
        self, signal: Float[np.ndarray, "samples"], rate: int, rng: np.random.Generator
    ) -> Events:
        """Spikes of a sound of `rate` hertz, from its start to 30 ms after its end."""
        return self.bushy(self.hair(self.velocity(signal, rate), self.rate), self.rate, rng)

    def power(self, signal: Float[np.ndarray, "samples"], rate: int) -> float:
        """The root mean square of a sound; an error where it cannot be heard."""
        if len(signal) < 2 * round(self.ramp * rate) or not np.isfinite(signal).all():
            raise UsageError(
                f"A sound must be finite and last {2 * self.ramp:g} s or more, has {len(signal)} "
                f"samples at {rate} Hz."
            )
        power = float(np.sqrt(np.mean(np.square(signal))))
        if not power:
            raise UsageError("A sound must not be silent: its loudness cannot be set.")
        return power

    def velocity(
        self, signal: Float[np.ndarray, "samples"], rate: int
    ) -> Float64[np.ndarray, "T channels"]:
        """Velocity of the membrane, sampled at the inner `rate`."""
        power = self.power(signal, rate)
        samples = len(signal) + round(self.ramp * rate)
        # Room for the wave to fade, so that the end does not wrap round to the start.
        padded = 1 << (samples + rate // 20).bit_length()
        spectrum = np.fft.rfft(self.faded(signal, rate) * (self.loudness / power), padded)
        inside = round(padded * self.rate / rate)
        bins = min(len(spectrum), inside // 2 + 1)
        gain = _gain(self.membrane, bins, rate / padded)
        moved = np.fft.irfft(gain * spectrum[:bins], inside, axis=1) * (inside / padded)
        return np.ascontiguousarray(moved[:, : round(samples * self.rate / rate)].T)

    def faded(
        self, signal: Float[np.ndarray, "samples"], rate: int
    ) -> Float64[np.ndarray, "samples"]:
        """The sound with both ends faded."""
        length = round(self.ramp * rate)
        rise = np.sin(np.pi / 2 * np.arange(length) / max(length, 1)) ** 2
        window = np.ones(len(signal))
        window[:length] *= rise
        window[len(signal) - length :] *= rise[::-1]
        return signal * window


@lru_cache(maxsize=4)  # sounds of like length share it: powers of two, speech has four or so
def _gain(
    membrane: BasilarMembrane, bins: int, spacing: float
) -> Complex128[np.ndarray, "channels F"]:
    r"""The transfer in the convention of NumPy's transform, $e^{+i\omega t}$."""
    return np.conj(membrane.transfer(np.arange(bins) * spacing))
