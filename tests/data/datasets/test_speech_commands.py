import numpy as np
import pytest
from scipy.io import wavfile

from tracegrad.data.datasets.speech_commands import RATE, CommandEncoding, speech_commands
from tracegrad.data.encode import bin_events, delta
from tracegrad.errors import DataError


def sound(seed, seconds=0.5):
    values = 3000 * np.random.default_rng(seed).normal(size=round(RATE * seconds))
    return values.clip(-32768, 32767).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    for seed, (word, name) in enumerate(
        [
            ("bed", "a1_nohash_0"),
            ("bed", "b2_nohash_0"),
            ("yes", "c3_nohash_0"),
            ("yes", "a1_nohash_1"),
            ("yes", "d4_nohash_0"),
        ]
    ):
        (tmp_path / word).mkdir(exist_ok=True)
        wavfile.write(tmp_path / word / f"{name}.wav", RATE, sound(seed))
    (tmp_path / "_background_noise_").mkdir()
    (tmp_path / "testing_list.txt").write_text("bed/b2_nohash_0.wav\nyes/d4_nohash_0.wav\n")
    (tmp_path / "validation_list.txt").write_text("yes/c3_nohash_0.wav\n")
    return tmp_path


def test_words_and_split(folder):
    task = speech_commands(folder)
    assert (task.lines, task.outputs, task.dt, task.steps) == (80, 2, 10e-3, 100)
    train, test = (next(s.batches(2, None)) for s in (task.train, task.test))
    assert (task.train.size, task.test.size) == (2, 2)
    assert train.ys[0].tolist() == test.ys[0].tolist() == [0, 1]
    assert train.valid.sum(axis=0).tolist() == [50, 50]


def test_counts_are_the_encoded_sound(folder):
    encoding = CommandEncoding()
    features = encoding.compression(encoding.bank(sound(0) / 32768, RATE))
    counts = bin_events(delta(features, 10e-3, 0.5), 10e-3, 50)
    seen = next(speech_commands(folder).train.batches(1, None)).xs[:50, 0]
    np.testing.assert_array_equal(seen, counts)
    assert counts.any()


def test_refuses(folder, tmp_path):
    wavfile.write(folder / "yes" / "e5_nohash_0.wav", RATE, sound(1, 1.5))
    with pytest.raises(DataError, match="e5_nohash_0.wav: must last at most 1 s, lasts 1.5 s"):
        list(speech_commands(folder).train.batches(9, None))
    (folder / "testing_list.txt").write_text("../x.wav\n")
    with pytest.raises(DataError, match=r"testing_list.txt: must list word/NAME_nohash_N.wav, lis"):
        speech_commands(folder)
    (folder / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match="has no test recordings"):
        speech_commands(folder)
    (folder / "testing_list.txt").unlink()
    with pytest.raises(DataError, match="testing_list.txt: there is no such file"):
        speech_commands(folder)
    with pytest.raises(DataError, match="none: there is no such folder"):
        speech_commands(tmp_path / "none")
    with pytest.raises(DataError, match="must hold folders of 2 to 35 words, holds 0"):
        speech_commands(folder / "yes")
