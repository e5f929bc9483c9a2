import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from tracegrad.data.audio import Gammatone, LogCompression, MelSpectrogram, PowerCompression
from tracegrad.errors import UsageError

RATE = 8000
BANKS = pytest.mark.parametrize("bank", [MelSpectrogram(), Gammatone()])


def sine(frequency: float, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)


def test_mel_equals_scipys_transform():
    bank, signal = MelSpectrogram(), np.random.default_rng(0).normal(size=1234)
    transform = ShortTimeFFT(np.hanning(257)[:-1], hop=80, fs=RATE, scale_to="magnitude")
    padded = np.pad(signal, (256 - 80, 16 * 80 - 1234))
    power = transform.spectrogram(padded, p0=0, p1=16, k_offset=transform.m_num_mid).T
    expected = power @ bank.weights(256, RATE)
    np.testing.assert_allclose(bank(signal, RATE), expected, rtol=1e-10)


def test_mel_triangles_by_hand():
    weights = MelSpectrogram(bands=3, low=1e-6, high=4000.0).weights(RATE, RATE)  # bins of 1 Hz
    # mel(4000) = 2146.06; quarters 536.5, 1073.0, 1609.5 mel = 426.8, 1113.9, 2219.9 Hz
    assert np.argmax(weights, axis=0).tolist() == [427, 1114, 2220]
    np.testing.assert_allclose(weights[427:2220].sum(axis=1), 1.0, atol=1e-12)
    assert weights[213, 0] == pytest.approx(213 / 426.8, rel=1e-3)


def test_mel_of_a_tone_by_hand():
    # 1000 Hz is bin 32. A Hann window gives a/2 there and a/4 in both neighbours.
    bank = MelSpectrogram()
    weights = bank.weights(256, RATE)
    expected = 0.5**2 * (weights[32] / 4 + (weights[31] + weights[33]) / 16)
    np.testing.assert_allclose(bank(sine(1000.0, 0.5), RATE)[50], expected, atol=1e-15)


def test_gammatone_of_a_tone():
    bank = Gammatone()
    power = bank(sine(bank.centres()[20], 0.5), RATE)[20:].mean(axis=0)
    assert np.argmax(power) == 20
    # 1 %: 80 frames are no whole number of periods
    assert power[20] == pytest.approx(0.5**2 / 2, rel=0.01)


def test_gammatone_centres_by_hand():
    centres = Gammatone(bands=3, low=100.0, high=3600.0).centres()
    # ERB rates 3.3696 and 26.1839; their middle 14.7767 is (10^0.690502 - 1)/0.00437 = 893.24 Hz
    np.testing.assert_allclose(centres, [100.0, 893.24, 3600.0], rtol=1e-5)


@BANKS
def test_causal_and_zero_for_silence(bank):
    signal = np.random.default_rng(1).normal(size=RATE)
    whole = bank(signal, RATE)
    assert whole.shape == (100, 40)
    np.testing.assert_allclose(bank(signal[:4000], RATE), whole[:50], rtol=1e-9, atol=1e-15)
    assert not bank(np.zeros(400), RATE).any()


@BANKS
def test_the_last_frame_is_filled_up(bank):
    assert bank(np.ones(81), RATE).shape == (2, 40)


def test_compressions_by_hand():
    power = np.array([0.0, 9e-8, 1.0])
    np.testing.assert_allclose(LogCompression(1e-8)(power), [0, 1, 8], atol=1e-8)
    np.testing.assert_allclose(PowerCompression(0.5)(power), [0, 3e-4, 1])


@BANKS
@pytest.mark.parametrize("signal", [np.zeros(0), np.array([np.nan]), np.array([np.inf])])
def test_refuses_signal(bank, signal):
    with pytest.raises(UsageError, match="signal must be finite and not empty"):
        bank(signal, RATE)


@pytest.mark.parametrize(
    ("bank", "message"),
    [
        (MelSpectrogram(high=4000.0), "Bands must lie between 0 and 4000.0 Hz, got 40 from 60.0"),
        (Gammatone(bands=0), "Bands must lie between 0 and 4000.0 Hz, got 0 from 100.0"),
        (Gammatone(low=0.0), "Bands must lie between 0 and 4000.0 Hz, got 40 from 0.0"),
        (MelSpectrogram(window=0.005), "window must be at least hop, got 0.005 < 0.01 s"),
        (MelSpectrogram(window=0.01), "Mel band 4 lies between two frequencies"),
        (MelSpectrogram(hop=0.00123), "hop must be a whole number of samples, got 0.00123 s"),
        (Gammatone(hop=0.0), "hop must be a whole number of samples, got 0.0 s"),
    ],
)
def test_refuses_settings(bank, message):
    with pytest.raises(UsageError, match=message):
        bank(np.ones(800), RATE)


def test_compressions_refuse():
    with pytest.raises(UsageError, match="floor must be positive"):
        LogCompression(0.0)
    for exponent in (0.0, 1.5):
        with pytest.raises(UsageError, match=r"exponent must lie in \(0, 1\]"):
            PowerCompression(exponent)
