import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from spike_files import recordings, write_lists, write_spikes
from tracegrad.data.formats.hdf5_lengths import announced
from tracegrad.data.formats.hdf5_spikes import SpikeFile
from tracegrad.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_spikes(tmp_path / "set.h5")


LAYOUTS = [
    {},
    {"chunks": (2,)},
    {"chunks": (3,), "maxshape": (None,), "compression": "gzip", "shuffle": True},
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_what_was_written(tmp_path, layout):
    file = SpikeFile(write_spikes(tmp_path / "set.h5", 5, **layout), 700)
    assert len(file) == 5 and file.labels.tolist() == [0, 1, 2, 0, 1]
    assert file.keys == ("word0", "word1", "word2") and file.classes == 3 and file.test is None
    for index, (times, units) in enumerate(zip(*recordings(5), strict=True)):
        events = file.events(index)
        assert events.lines == 700 and events.polarity is None
        assert events.time.tolist() == [round(1e6 * float(t)) for t in times]
        assert events.line.tolist() == units.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_announced_lengths_are_those_that_hdf5_reads(tmp_path, layout):
    path = tmp_path / "lists.h5"
    with h5py.File(path, "w") as file:
        write_lists(file, "lists", [np.zeros(3 * i, np.float16) for i in range(8)], **layout)
    with h5py.File(path, "r") as file:
        for start, stop in ((0, 8), (3, 5), (7, 8)):
            lengths = announced(file["lists"], start, stop, path)
            assert lengths.tolist() == [3 * i for i in range(start, stop)]


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_a_huge_announced_length_takes_no_memory(tmp_path, layout):
    path = write_spikes(tmp_path / "set.h5", **layout)
    content = bytearray(path.read_bytes())
    length = len(recordings(4)[0][2])
    # An entry: 4 bytes length, 8 bytes address of the heap, of which few are used, 4 bytes index.
    index = next(
        i
        for i in range(len(content))
        if content[i : i + 4] == struct.pack("<I", length)
        and content[i + 4 : i + 8] != bytes(4)
        and content[i + 8 : i + 12] == bytes(4)
    )
    content[index : index + 4] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(content)
    file = SpikeFile(path, 700)
    with pytest.raises(DataError, match=r"set.h5: recording 2 must have as many units as times, "):
        file.events(2)


def rewritten(path: Path, name: str, lists: list[np.ndarray]) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        write_lists(file, name, lists)


@pytest.mark.parametrize(
    ("times", "units", "message"),
    [
        ([0.1, -0.1], [1, 2], "recording 3: has an event at -100000 us, before 0"),
        ([0.3, 0.2], [1, 2], "its events must be sorted by time, but time falls after event 0"),
        ([0.1, np.inf], [1, 2], "the times of recording 3 must be finite, below an hour"),
        ([0.1, np.nan], [1, 2], "the times of recording 3 must be finite, below an hour"),
        ([0.1, 4000.0], [1, 2], "the times of recording 3 must be finite, below an hour"),
        ([0.1, 0.2], [1, 700], r"its lines must lie in \[0, 700\), got 1 to 700"),
        ([0.1, 0.2], [1], "recording 3 must have as many units as times, at most 4194304, ann"),
    ],
)
def test_refuses_spikes(path, times, units, message):
    held_times, held_units = recordings(4)
    rewritten(path, "spikes/times", [*held_times[:3], np.array(times, np.float32)])
    rewritten(path, "spikes/units", [*held_units[:3], np.array(units, np.uint16)])
    with pytest.raises(DataError, match=message):
        SpikeFile(path, 700).events(3)


def replaced(path: Path, name: str, **dataset) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, **dataset)


@pytest.mark.parametrize(
    ("name", "dataset", "message"),
    [
        ("labels", {"data": [0.0] * 4}, "labels must be whole numbers, is float64"),
        ("labels", {"data": [[0]] * 4}, "labels must be a data set of one axis"),
        ("labels", {"data": [0] * 3}, r"spikes/times must have as many entries as labels \(3\), "),
        ("labels", {"data": [0, 1, 2, 3]}, r"labels must lie in \[0, 3\), got 0 to 3"),
        ("labels", {"data": [-1] * 4}, r"labels must lie in \[0, 3\), got -1 to -1"),
        (
            "labels",
            {"shape": (2**40,), "dtype": "u2", "chunks": (64,)},
            "labels must have at most 1048576 entries, announces 1099511627776",
        ),
        (
            "labels",
            {"shape": (4,), "maxshape": (None,), "dtype": "u2", "chunks": (2**24,)},
            "labels must have at most 1048576 entries, announces 16777216",
        ),
        ("labels", {"data": [0] * 4, "compression": "lzf"}, "labels must be packed with gzip or"),
        ("spikes/times", {"data": [0.1] * 4}, "spikes/times must be lists of floating numbers, is"),
        (
            "spikes/times",
            {"shape": (4,), "dtype": h5py.vlen_dtype(np.int32)},
            "spikes/times must be lists of floating numbers, is int32",
        ),
        (
            "spikes/units",
            {"shape": (4,), "dtype": h5py.vlen_dtype(np.float32)},
            "spikes/units must be lists of integer numbers, is float32",
        ),
        ("extra/keys", {"data": [1, 2, 3]}, "extra/keys must be at most 1000 names"),
        ("extra/keys", {"data": np.array([b"x" * 2000] * 3)}, "extra/keys must be at most 1000"),
        ("extra/keys", {"data": ["x" * 2000] * 3}, "extra/keys must be at most 1000 names"),
    ],
)
def test_refuses_data_sets(path, name, dataset, message):
    replaced(path, name, **dataset)
    with pytest.raises(DataError, match=f"set.h5: {message}"):
        SpikeFile(path, 700)


def test_reads_keys_of_variable_length(path):
    replaced(path, "extra/keys", data=["null", "eins", "zwei"])
    assert SpikeFile(path, 700).keys == ("null", "eins", "zwei")


def test_a_mark_for_the_test_set(path):
    with h5py.File(path, "a") as file:
        file["extra/test"] = np.array([True, False, False, True])
    held = SpikeFile(path, 700).test
    assert held is not None and held.tolist() == [True, False, False, True]
    replaced(path, "extra/test", data=[0, 1])
    with pytest.raises(DataError, match="extra/test must be 0 or 1 for every recording"):
        SpikeFile(path, 700)


@pytest.mark.parametrize("name", ["labels", "spikes/times", "spikes/units", "extra/keys", "spikes"])
@pytest.mark.parametrize("link", [h5py.SoftLink("/labels"), h5py.ExternalLink("other.h5", "/x")])
def test_refuses_links(path, name, link):
    """The other file is never opened: were it followed, h5py would say that it does not exist."""
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = link
    with pytest.raises(DataError, match=f"{name}.* is a link to elsewhere"):
        SpikeFile(path, 700)


def test_refuses_external_storage(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8))
    replaced(path, "labels", shape=(4,), dtype="u2", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(DataError, match="labels keeps its data in another file"):
        SpikeFile(path, 700)


def test_refuses_virtual_data(path, tmp_path):
    source = write_spikes(tmp_path / "other.h5")
    layout = h5py.VirtualLayout((4,), "u2")
    layout[:] = h5py.VirtualSource(source, "labels", (4,))
    with h5py.File(path, "a") as file:
        del file["labels"]
        file.create_virtual_dataset("labels", layout)
    with pytest.raises(DataError, match="labels keeps its data in another file"):
        SpikeFile(path, 700)


@pytest.mark.parametrize("name", ["labels", "spikes/times", "spikes"])
def test_refuses_a_missing_data_set(path, name):
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(DataError, match=f"has no data set {name}"):
        SpikeFile(path, 700)


def test_refuses_other_files(tmp_path, path):
    with pytest.raises(DataError, match="none.h5: there is no such file"):
        SpikeFile(tmp_path / "none.h5", 700)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(DataError, match="text.h5: is no readable HDF5 file"):
        SpikeFile(tmp_path / "text.h5", 700)


def test_a_cut_file_is_one_sentence(path):
    """Wherever it is cut: an error of ours, or all of it was read."""
    content = path.read_bytes()
    refused = 0
    for end in range(0, len(content), 401):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match="set.h5"):
            file = SpikeFile(path, 700)
            for index in range(len(file)):
                file.events(index)
        refused += 1
    assert refused > 10


def test_without_h5py_it_says_how_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"python -m pip install 'tracegrad\[data\]'"):
        SpikeFile(path, 700)
