"""`tracegrad data`: list, get and cochlea, up to training on what they leave behind."""

import io
import zipfile

import numpy as np
import pytest
from scipy.io import wavfile

from tracegrad.data import TASKS, download
from tracegrad.data.catalogue import CATALOGUE, DataSet, RemoteFile
from tracegrad.data.cochlea import BasilarMembrane, Cochlea
from tracegrad.data.formats.hdf5_spikes import SpikeFile
from tracegrad.data.speech_folder import speech_folder
from tracegrad.data.wav import read_sound
from tracegrad.errors import DataError
from tracegrad.run import cochlea_command
from tracegrad.run.cli import main


def sound(seed: int, seconds: float = 0.1, rate: int = 8000) -> np.ndarray:
    tone = np.sin(2 * np.pi * (300 + 900 * (seed % 2)) * np.arange(round(rate * seconds)) / rate)
    noise = np.random.default_rng(seed).normal(size=len(tone))
    return (9000 * tone + 300 * noise).astype(np.int16)


@pytest.fixture
def speech(tmp_path):
    """Two words of one speaker, indices 4 to 6: one of each for the test."""
    folder = tmp_path / "speech"
    folder.mkdir()
    for word in range(2):
        for index in (4, 5, 6):
            wavfile.write(folder / f"{word}_ann_{index}.wav", 8000, sound(2 * index + word))
    return folder


@pytest.fixture
def short_ear(monkeypatch):
    """The cochlea as it is, for the few milliseconds that a test has."""
    ear = Cochlea(membrane=BasilarMembrane(channels=70))
    monkeypatch.setattr(cochlea_command, "Cochlea", lambda: ear)


def test_list_names_licence_size_and_place(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TRACEGRAD_DATA", str(tmp_path))
    (tmp_path / "shd").mkdir()
    assert main(["data", "list"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, entry in CATALOGUE.items():
        assert name in printed and " ".join(entry.licence.split()) in printed
    assert f"in {tmp_path / 'shd'}".replace(" ", "") in printed.replace(" ", "")
    assert "notin" in printed.replace(" ", "")


def test_every_set_of_the_catalogue_is_read_by_a_task():
    folders = {entry.folder for entry in TASKS.values() if entry.needs_data}
    assert folders - CATALOGUE.keys() == {"cochlea"} and CATALOGUE.keys() <= folders
    for entry in CATALOGUE.values():
        assert entry.licence and entry.source and bool(entry.files) != bool(entry.by_hand)
        for file in entry.files:
            assert file.url.startswith("https://")


def test_get_prints_the_licence_first_and_unpacks(tmp_path, capsys, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("top/recordings/a.txt", "hello")
    printed_before = []

    def fetch(url, part):
        printed_before.append(capsys.readouterr().out)
        part.write_bytes(packed.getvalue())

    monkeypatch.setattr(download, "_fetch", fetch)
    entry = DataSet("Words", "CC0", "nobody", 1, (RemoteFile("x://y", "w.zip", None),), strip=1)
    monkeypatch.setitem(CATALOGUE, "fsdd", entry)
    assert main(["data", "get", "fsdd", "--into", str(tmp_path)]) == 0
    assert printed_before[0].startswith("Words: some 1 MB. Licence: CC0.\n  source: nobody")
    printed = capsys.readouterr().out
    assert "digest unknown, now sha256:" in printed and "unpacked 1 files" in printed
    assert f"tracegrad train spoken-digits --data {tmp_path / 'fsdd'}" in printed
    assert (tmp_path / "fsdd" / "recordings" / "a.txt").read_text() == "hello"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "data needs one of: tracegrad data list"),
        (["fetch"], "data needs one of: tracegrad data list"),
        (["list", "all"], "data list takes no options, got all"),
        (["get"], "data get needs a set: shd, ssc"),
        (["get", "cifar"], "There is no data set cifar. There are shd, ssc"),
        (["get", "dvs-gesture"], "dvs_gesture has to be fetched by hand. Get DvsGesture.tar.gz"),
        (["cochlea", "x"], "data cochlea needs a folder and a file"),
        (["cochlea", "x", "y.npz"], "The file must end in .h5, got y.npz"),
        (["cochlea", "nowhere", "y.h5"], "nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, capsys):
    assert main(["data", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["get", "cochlea"])
def test_help(command, capsys):
    assert main(["data", command, "--help"]) == 0
    assert f"tracegrad data {command}" in capsys.readouterr().out


def test_speech_becomes_a_file_of_spikes(speech, short_ear, tmp_path, capsys):
    out = tmp_path / "words.h5"
    assert main(["data", "cochlea", str(speech), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "4 sounds for training and 2 for the test" in printed
    assert f"tracegrad train cochlea-speech --data {out}" in printed
    file = SpikeFile(out, 700)
    assert file.keys == ("0", "1") and file.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert file.test is not None and file.test.tolist() == [True, False, False] * 2
    path = speech / "0_ann_5.wav"
    rate, signal = read_sound(path)
    stream = np.random.default_rng(0).spawn(6)[1]
    direct = cochlea_command.Cochlea()(signal, rate, stream)
    events = file.events(1)
    assert len(direct) > 100 and (events.line == direct.line).all()
    assert np.abs(events.time - direct.time).max() <= 1  # float32 seconds
    assert not list(tmp_path.glob("*.part"))
    assert main(["data", "cochlea", str(speech), str(out)]) == 2
    assert "words.h5 is there already" in capsys.readouterr().err


def test_two_workers_hear_what_one_hears(speech, short_ear, tmp_path, capsys):
    heard = {}
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.h5"
        assert main(["data", "cochlea", str(speech), str(out), "--workers", workers]) == 0
        file = SpikeFile(out, 700)
        heard[workers] = [file.events(index) for index in range(6)]
    for one, two in zip(*heard.values(), strict=True):
        assert len(one) > 10
        assert np.array_equal(one.time, two.time) and np.array_equal(one.line, two.line)
    assert main(["data", "cochlea", str(speech), "x.h5", "--workers", "0"]) == 2
    assert "workers must be at least 1, got 0." in capsys.readouterr().err


def test_it_learns_from_its_own_file(speech, short_ear, tmp_path, capsys):
    """Speech, cochlea, file, reader, training: the whole way."""
    out = tmp_path / "words.h5"
    assert main(["data", "cochlea", str(speech), str(out), "--seed", "3"]) == 0
    run = ["train", "cochlea-speech", "--data", str(out), "--epochs", "2", "--batch", "2"]
    small = ["--hidden", "12", "--no-pictures", "--out", str(tmp_path / "run")]
    assert main([*run, *small]) == 0
    assert "cochlea_speech" in capsys.readouterr().out
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_folder_for_each_word(tmp_path):
    for word in ("bed", "yes"):
        (tmp_path / word).mkdir()
        for index in range(11):
            (tmp_path / word / f"a{index:02}_nohash_0.wav").write_bytes(b"")
    sounds = speech_folder(tmp_path)
    assert [s.label for s in sounds] == ["bed"] * 11 + ["yes"] * 11
    assert [i for i, s in enumerate(sounds) if s.test] == [0, 10, 11, 21]
    assert sounds[3].speaker == "a03"
    (tmp_path / "testing_list.txt").write_text("yes/a04_nohash_0.wav\n")
    assert [i for i, s in enumerate(speech_folder(tmp_path)) if s.test] == [15]
    (tmp_path / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match="has no sounds for testing"):
        speech_folder(tmp_path)
    with pytest.raises(DataError, match="must hold WAV files of two labels or more"):
        speech_folder(_only(tmp_path))


def _only(folder):
    alone = folder / "alone"
    (alone / "bed").mkdir(parents=True)
    (alone / "bed" / "a_0.wav").write_bytes(b"")
    return alone


def test_a_sound_that_cannot_be_heard_is_named(speech, short_ear, tmp_path, capsys):
    wavfile.write(speech / "1_ann_9.wav", 8000, np.zeros(800, np.int16))
    assert main(["data", "cochlea", str(speech), str(tmp_path / "o.h5")]) == 2
    assert "1_ann_9.wav: A sound must not be silent" in capsys.readouterr().err
    (speech / "noise.wav").write_bytes(b"")
    assert main(["data", "cochlea", str(speech), str(tmp_path / "p.h5")]) == 2
    assert "noise.wav: must be named LABEL_SPEAKER_INDEX.wav" in capsys.readouterr().err
