"""WAV files: one sound, refused with a clear word where it is not what it should be."""

import io
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tracegrad.errors import DataError

LOWEST, HIGHEST = 4000, 192_000  # samples a second of a sound
LONGEST = 60.0  # seconds; a longer file is no recording of a word, and would fill the memory


def read_wav(path: Path, rate: int) -> Float64[np.ndarray, "samples"]:
    """The samples of a mono 16-bit PCM file of `rate` hertz, in [-1, 1).

    signal = read_wav(Path("recordings/7_theo_0.wav"), rate=8000)
    """
    found, samples = _checked(path, rate)
    if found != rate:
        raise DataError(f"{path}: must have {rate} samples a second, has {found}. Resample it.")
    return samples


def read_sound(path: Path) -> tuple[int, Float64[np.ndarray, "samples"]]:
    """The rate (hertz) and the samples of a mono 16-bit PCM file of 4 to 192 kHz, in [-1, 1).

    rate, signal = read_sound(Path("recordings/7_theo_0.wav"))
    """
    rate, samples = _checked(path, HIGHEST)
    if not LOWEST <= rate <= HIGHEST:
        raise DataError(f"{path}: must have {LOWEST} to {HIGHEST} samples a second, has {rate}.")
    return rate, samples


def _checked(path: Path, highest: int) -> tuple[int, Float64[np.ndarray, "samples"]]:
    found, samples = _parse(path, limit=int(2 * LONGEST * highest))
    if samples.ndim != 1:
        raise DataError(f"{path}: must be mono, has {samples.shape[1]} channels. Mix them down.")
    if samples.dtype != np.int16:
        raise DataError(f"{path}: must be 16-bit PCM, is {samples.dtype}. Convert it.")
    if not len(samples):
        raise DataError(f"{path}: holds no samples. Remove it or record it again.")
    return found, samples / 32768


def _parse(path: Path, limit: int) -> tuple[int, np.ndarray]:
    from scipy.io import wavfile  # here: it takes a third of a second to import

    try:
        with path.open("rb") as file:
            # Bytes, not the file: a header that announces gigabytes then allocates nothing.
            content = file.read(limit + 1)
        if len(content) > limit:
            raise DataError(f"{path}: must be shorter than {LONGEST:g} s, is not. Cut it.")
        with warnings.catch_warnings():
            # SciPy only warns about a cut file or chunks that it skips; here that is damage.
            warnings.simplefilter("error", wavfile.WavFileWarning)
            return wavfile.read(io.BytesIO(content))
    except DataError:
        raise
    except Exception as error:  # a hostile header makes SciPy raise nearly anything
        raise DataError(f"{path}: is no readable WAV file ({error}). Replace it.") from error
