import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from tracegrad.data.wav import read_wav
from tracegrad.errors import DataError

SAMPLES = np.array([0, 16384, -32768, 32767], np.int16)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "sound.wav"
    wavfile.write(path, 8000, SAMPLES)
    return path


def test_reads_samples(wav):
    assert read_wav(wav, 8000).tolist() == [0, 0.5, -1, 32767 / 32768]


@pytest.mark.parametrize(
    ("rate", "samples", "message"),
    [
        (8000, np.zeros((9, 2), np.int16), "must be mono, has 2 channels"),
        (8000, np.zeros(9, np.uint8), "must be 16-bit PCM, is uint8"),
        (8000, np.zeros(9, np.float32), "must be 16-bit PCM, is float32"),
        (16000, SAMPLES, "must have 8000 samples a second, has 16000"),
        (8000, SAMPLES[:0], "holds no samples"),
        (8000, np.zeros(480_001, np.int16), "must be shorter than 60 s"),
    ],
)
def test_refuses_another_kind(wav, rate, samples, message):
    wavfile.write(wav, rate, samples)
    with pytest.raises(DataError, match=f"sound.wav: {message}"):
        read_wav(wav, 8000)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 9])
def test_refuses_no_wav(wav, content):
    wav.write_bytes(content)
    with pytest.raises(DataError, match="sound.wav: is no readable WAV file"):
        read_wav(wav, 8000)


def test_refuses_every_truncation(wav):
    content = wav.read_bytes()
    assert len(content) == 44 + 8
    for length in range(len(content)):
        wav.write_bytes(content[:length])
        with pytest.raises(DataError, match="sound.wav"):
            read_wav(wav, 8000)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.wav: is no readable WAV file \(.*No such file"):
        read_wav(tmp_path / "none.wav", 8000)


def test_a_header_that_lies_does_not_take_memory(wav):
    content = bytearray(wav.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 2**32 - 1)  # 4 GiB of sound
    wav.write_bytes(content)
    with pytest.raises(DataError, match="sound.wav: is no readable WAV file"):
        read_wav(wav, 8000)


def test_a_changed_header_byte_gives_sound_or_a_data_error(wav):
    content, rng = wav.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        changed[rng.integers(44)] = rng.integers(256)
        wav.write_bytes(changed)
        try:
            assert read_wav(wav, 8000).dtype == np.float64
        except DataError:
            refused += 1
    assert refused > 150
