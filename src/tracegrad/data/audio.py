"""Audio features: sound to the power in frequency bands, frame by frame and causally."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from tracegrad.errors import UsageError


@dataclass(frozen=True)
class MelSpectrogram:
    r"""Power in triangular bands, equally spaced in mel, of a windowed Fourier transform.

    $E_{fb} = \sum_k M_{bk}\,|\sum_n w_n\,x_{n + (f+1)h - N}\,e^{-2\pi i k n/N}|^2 / (\sum_n w_n)^2,
    \quad \mathrm{mel}(\nu) = 2595 \log_{10}(1 + \nu/700)$   (1)

    Frame f sees the N samples of `window` before its end at (f+1) h, and nothing later, so it can
    be computed live; before the start is silence. A sine of amplitude a gives $a^2/4$ in its
    frequency k. Hann window; `low` to `high` in hertz; `window`, `hop` in seconds.

        features = MelSpectrogram(bands=40)(np.zeros(8000), rate=8000)  # (100, 40)
    """

    bands: int = 40
    low: float = 60.0
    high: float = 3900.0
    window: float = 0.032
    hop: float = 0.01

    def __call__(
        self, signal: Float[np.ndarray, "samples"], rate: int
    ) -> Float64[np.ndarray, "frames bands"]:
        """Features of a signal of `rate` hertz; the last frame is filled up with silence."""
        _check(self, signal, rate)
        hop, size = _samples(self.hop, rate, "hop"), _samples(self.window, rate, "window")
        if size < hop:
            raise UsageError(f"window must be at least hop, got {self.window} < {self.hop} s.")
        frames = -(-len(signal) // hop)
        padded = np.pad(signal, (size - hop, frames * hop - len(signal)))
        slices = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        power = np.abs(np.fft.rfft(slices * taper) / taper.sum()) ** 2
        return power @ self.weights(size, rate)

    def weights(self, size: int, rate: int) -> Float64[np.ndarray, "bins bands"]:
        """The triangles M of equation (1), of height 1."""
        edges = _hertz(np.linspace(_mel(self.low), _mel(self.high), self.bands + 2))
        bins = np.fft.rfftfreq(size, 1 / rate)[:, None]
        rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        triangles = np.maximum(0.0, np.minimum(rise, fall))
        if len(empty := np.flatnonzero(triangles.sum(axis=0) == 0)):
            raise UsageError(
                f"Mel band {empty[0]} lies between two frequencies of the transform. "
                "Take a longer window or fewer bands."
            )
        return triangles


@dataclass(frozen=True)
class Gammatone:
    r"""Mean power behind gammatone filters, a model of the basilar membrane.

    $E_{fb} = \frac1h \sum_{n=fh}^{(f+1)h-1} (g_b * x)_n^2,\quad g_b(t) \propto t^3
    e^{-2\pi\,1.019\,\mathrm{ERB}(\nu_b)\,t} \cos 2\pi\nu_b t$   (1)

    Centres $\nu_b$ equally spaced on the ERB-rate scale $21.4 \log_{10}(1 + 0.00437\,\nu)$ from
    `low` to `high` hertz; `hop` in seconds. A sine of amplitude a at a centre gives $a^2/2$; the
    filters are causal.
    Source: Slaney 1993 (filters, from SciPy), Glasberg and Moore 1990 (scale).

        features = Gammatone(bands=32)(np.zeros(8000), rate=8000)  # (100, 32)
    """

    bands: int = 40
    low: float = 100.0
    high: float = 3600.0
    hop: float = 0.01

    def __call__(
        self, signal: Float[np.ndarray, "samples"], rate: int
    ) -> Float64[np.ndarray, "frames bands"]:
        """Features of a signal of `rate` hertz; the last frame is filled up with silence."""
        from scipy.signal import gammatone, lfilter  # here: it takes a second to import

        _check(self, signal, rate)
        hop = _samples(self.hop, rate, "hop")
        padded = np.pad(signal, (0, -len(signal) % hop))
        features = np.empty((len(padded) // hop, self.bands))
        for band, centre in enumerate(self.centres()):
            heard = np.asarray(lfilter(*gammatone(centre, "iir", fs=rate), padded))
            features[:, band] = np.mean(heard.reshape(-1, hop) ** 2, axis=1)
        return features

    def centres(self) -> Float64[np.ndarray, "bands"]:
        """Centre frequencies in hertz."""
        low, high = (21.4 * np.log10(1 + 0.00437 * end) for end in (self.low, self.high))
        return (10 ** (np.linspace(low, high, self.bands) / 21.4) - 1) / 0.00437


@dataclass(frozen=True)
class LogCompression:
    r"""$y = \log_{10}(1 + E/E_0)$: decades above the floor $E_0$, 0 for silence."""

    floor: float = 1e-8

    def __post_init__(self) -> None:
        """The floor divides."""
        if not self.floor > 0:
            raise UsageError(f"floor must be positive (a power), got {self.floor}.")

    def __call__(self, power: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Compress each value."""
        return np.log10(1 + power / self.floor)


@dataclass(frozen=True)
class PowerCompression:
    r"""$y = E^p$: Stevens' law, 0 for silence."""

    exponent: float = 0.3

    def __post_init__(self) -> None:
        """Only a compression keeps quiet sounds."""
        if not 0 < self.exponent <= 1:
            raise UsageError(f"exponent must lie in (0, 1], got {self.exponent}.")

    def __call__(self, power: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Compress each value."""
        return power**self.exponent


def _check(bank: MelSpectrogram | Gammatone, signal: np.ndarray, rate: int) -> None:
    if not len(signal) or not np.isfinite(signal).all():
        raise UsageError(f"signal must be finite and not empty, got {len(signal)} samples.")
    if bank.bands < 1 or not 0 < bank.low < bank.high < rate / 2:
        raise UsageError(
            f"Bands must lie between 0 and {rate / 2} Hz, got {bank.bands} from {bank.low} to "
            f"{bank.high} Hz."
        )


def _samples(duration: float, rate: int, name: str) -> int:
    exact = duration * rate
    if not (exact >= 1 and abs(exact - round(exact)) < 1e-6):
        raise UsageError(
            f"{name} must be a whole number of samples, got {duration} s at {rate} Hz."
        )
    return round(exact)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)
