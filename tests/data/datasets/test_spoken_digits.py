from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from tracegrad.data.audio import Gammatone, PowerCompression
from tracegrad.data.datasets.spoken_digits import SpokenEncoding, spoken_digits
from tracegrad.data.encode import bin_events
from tracegrad.data.sequences import Sequences
from tracegrad.errors import DataError, UsageError


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (3000 * rng.normal(size=round(8000 * seconds))).clip(-32768, 32767).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two speakers; one recording of 305 ms, the others of 200 ms."""
    names = ["3_ann_0", "7_ann_4", "3_ann_5", "7_bob_10", "0_bob_49"]
    for seed, name in enumerate(names):
        wavfile.write(tmp_path / f"{name}.wav", 8000, sound(0.305 if "49" in name else 0.2, seed))
    return tmp_path


def sources(task) -> tuple[Sequences, Sequences]:
    assert isinstance(task.train, Sequences) and isinstance(task.test, Sequences)
    return task.train, task.test


def test_labels_split_and_lengths(folder):
    (folder / "README.md").write_text("not a recording")
    train, test = sources(spoken_digits(folder))
    assert test.labels.tolist() == [3, 7] and test.lengths.tolist() == [20, 20]
    # sorted by name; 305 ms are 31 frames
    assert train.labels.tolist() == [0, 3, 7] and train.lengths.tolist() == [31, 20, 20]
    assert train.counts.shape == (3, 80, 80)


def test_a_speaker_is_left_out(folder):
    train, test = sources(spoken_digits(folder, speaker="bob"))
    assert test.labels.tolist() == [0, 7] and train.labels.tolist() == [3, 3, 7]
    with pytest.raises(UsageError, match="one of two or more, ann, bob; got eve"):
        spoken_digits(folder, speaker="eve")


def test_counts_are_the_encoded_signal(folder):
    train, _ = sources(spoken_digits(folder))
    events = SpokenEncoding()(sound(0.2, 2) / 32768)
    np.testing.assert_array_equal(train.counts[1], bin_events(events, 0.01, 80))
    assert train.counts[1].any()


def test_the_folder_above_recordings(folder):
    (folder / "recordings").mkdir()
    for path in folder.glob("*.wav"):
        path.rename(folder / "recordings" / path.name)
    assert spoken_digits(folder).train.size == 3


def test_cut_recordings_are_counted(folder):
    whole, cut = spoken_digits(folder), spoken_digits(folder, SpokenEncoding(steps=25))
    assert "5 spoken digits" in whole.summary and "(0 cut at 0.80 s)" in whole.summary
    assert "(1 cut at 0.25 s)" in cut.summary
    (long, _), (short, _) = sources(whole), sources(cut)
    assert short.lengths.tolist() == [25, 20, 20] and short.counts.shape == (3, 25, 80)
    np.testing.assert_array_equal(short.counts, long.counts[:, :25])


def test_another_encoding(folder):
    encoding = SpokenEncoding(Gammatone(bands=16, hop=0.02), PowerCompression(), threshold=0.02)
    task = spoken_digits(folder, encoding)
    assert (task.lines, task.outputs, task.dt, task.steps) == (32, 10, 0.02, 80)
    train, _ = sources(task)
    assert train.lengths.tolist() == [16, 10, 10] and train.counts.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("name", "rate", "samples", "message"),
    [
        ("3_ann.wav", 8000, sound(0.2), "must be named digit_speaker_index.wav"),
        ("x_ann_7.wav", 8000, sound(0.2), "must be named digit_speaker_index.wav"),
        ("3_ann_7.wav", 16000, sound(0.2), "must have 8000 samples a second, has 16000"),
        ("3_ann_7.wav", 8000, sound(0.0), "holds no samples"),
        ("3_ann_7.wav", 8000, sound(0.02), "must last 0.032 s or more, lasts 0.02 s"),
        ("3_ann_7.wav", 8000, np.zeros((999, 2), np.int16), "must be mono, has 2 channels"),
    ],
)
def test_refuses_a_recording(folder, name, rate, samples, message):
    wavfile.write(folder / name, rate, samples)
    with pytest.raises(DataError, match=f"{name}: {message}"):
        spoken_digits(folder)


def test_refuses_a_broken_file(folder):
    path = folder / "3_ann_5.wav"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="3_ann_5.wav: is no readable WAV file"):
        spoken_digits(folder)


def test_refuses_folders(folder, tmp_path_factory):
    with pytest.raises(DataError, match="none: there is no such folder"):
        spoken_digits(folder / "none")
    with pytest.raises(DataError, match="holds no WAV files"):
        spoken_digits(tmp_path_factory.mktemp("empty"))
    for path in folder.glob("*_[04].wav"):
        path.unlink()
    with pytest.raises(DataError, match="has no test recordings"):
        spoken_digits(folder)
    for path in folder.glob("*.wav"):
        path.rename(folder / "3_ann_1.wav")
    with pytest.raises(DataError, match="has no training recordings"):
        spoken_digits(folder)


def test_refuses_no_steps(folder):
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        spoken_digits(folder, SpokenEncoding(steps=0))


def test_the_real_set(shared):
    if not (recordings := shared / "fsdd" / "recordings").is_dir():
        pytest.skip(f"no {recordings}")
    task = spoken_digits(shared / "fsdd")
    train, test = sources(task)
    assert np.bincount(train.labels).tolist() == [270] * 10
    assert np.bincount(test.labels).tolist() == [30] * 10
    assert "3000 spoken digits" in task.summary and "(61 cut at 0.80 s)" in task.summary
    assert train.lengths.min() == 15 and np.median(train.lengths) == 42
    assert train.counts.any(axis=(1, 2)).all()  # nobody is silent
