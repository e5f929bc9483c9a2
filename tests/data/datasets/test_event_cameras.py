import numpy as np
import pytest

from event_files import aedat3_bytes, aedat3_packet, nmnist_bytes
from tracegrad.data.datasets.dvs_gesture import dvs_gesture
from tracegrad.data.datasets.nmnist import nmnist
from tracegrad.data.datasets.nmnist_small import FILE, nmnist_small
from tracegrad.data.datasets.pixel_events import PixelBinning
from tracegrad.data.events import Events
from tracegrad.data.task import joined
from tracegrad.errors import DataError, UsageError

ON_OFF = [[3, 2, 1, 0], [3, 2, 0, 4999], [33, 33, 0, 5000], [3, 2, 1, 336000]]


def test_squares_of_pixels_row_by_row_on_before_off():
    time, line = np.array([0, 0, 1000, 1000]), np.array([0, 5, 2, 15])
    events = Events(time, line, 16, np.array([1, 1, 1, 0], np.int8))
    binning = PixelBinning(side=4, dt=1e-3, steps=3, pool=2)
    assert binning.lines == 8
    expected = [[2, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 1]]
    assert binning(events, "it").tolist() == expected
    capped = PixelBinning(side=4, dt=1e-3, steps=3, pool=2, at_most=1)
    assert capped(events, "it").tolist() == np.minimum(expected, 1).tolist()
    cut = PixelBinning(side=4, dt=1e-3, steps=1, pool=2, cut=True)
    assert cut(events, "it").tolist() == expected[:1]
    with pytest.raises(UsageError, match="it has events up to 0.001 s, beyond 1 steps"):
        PixelBinning(side=4, dt=1e-3, steps=1)(events, "it")
    with pytest.raises(UsageError, match="pool must divide the side of 4 pixels, got 3"):
        PixelBinning(side=4, dt=1e-3, steps=1, pool=3)


@pytest.fixture
def digits(tmp_path):
    for part, digit, number in (("Train", 7, 2), ("Train", 0, 1), ("Test", 9, 3)):
        folder = tmp_path / part / str(digit)
        folder.mkdir(parents=True)
        (folder / f"{number:05}.bin").write_bytes(nmnist_bytes(ON_OFF))
    return tmp_path


def test_nmnist(digits):
    task = nmnist(digits)
    assert (task.name, task.lines, task.outputs, task.dt) == ("nmnist", 2312, 10, 5e-3)
    assert (task.steps, task.train.size, task.test.size) == (72, 2, 1)
    batch = next(task.train.batches(2, None))
    assert batch.ys[0].tolist() == [0, 7] and batch.valid.sum(axis=0).tolist() == [68, 68]
    step, line = np.nonzero(batch.xs[:, 0])
    assert step.tolist() == [0, 0, 1, 67]
    assert line.tolist() == [71, 1156 + 71, 1156 + 1155, 71]


def test_nmnist_refuses(digits, tmp_path):
    with pytest.raises(DataError, match="none/Train: there is no such folder"):
        nmnist(tmp_path / "none")
    (digits / "Test" / "9" / "readme").write_text("x")
    with pytest.raises(DataError, match="readme: must be named NUMBER.bin"):
        nmnist(digits)
    for path in (digits / "Test" / "9").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="Test: holds no recordings"):
        nmnist(digits)


def small(path, **change):
    arrays = {
        "x": np.array([3, 3, 33, 0], np.uint8),
        "y": np.array([2, 2, 33, 0], np.uint8),
        "p": np.array([1, 0, 0, 1], np.uint8),
        "t_us": np.array([0, 4999, 5000, 10], np.uint32),
        "offset": np.array([0, 3, 4]),
        "label": np.array([5, 6], np.uint8),
        "test": np.array([False, True]),
    }
    np.savez(path / FILE, **(arrays | change))
    return path


def test_nmnist_small(tmp_path):
    task = nmnist_small(small(tmp_path))
    train, test = (next(source.batches(1, None)) for source in (task.train, task.test))
    assert train.ys[0] == 5 and test.ys[0] == 6
    step, line = np.nonzero(train.xs[:, 0])
    assert step.tolist() == [0, 0, 1] and line.tolist() == [71, 1156 + 71, 1156 + 1155]
    assert test.xs.sum() == 1 and test.xs[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros(3, np.uint8)}, "its arrays must be equally long"),
        ({"test": np.array([True])}, "its arrays must be equally long"),
        ({"offset": np.array([0, 5, 4])}, "offset must rise from 0 to the number of events"),
        ({"offset": np.array([0, 3, 5])}, "offset must rise from 0 to the number of events"),
        ({"offset": np.array([-1, 3, 4])}, "offset must rise from 0 to the number of events"),
        ({"label": np.array([5, 10], np.uint8)}, "label must be 0 to 9, and p 0 or 1"),
        ({"p": np.full(4, 2, np.uint8)}, "label must be 0 to 9, and p 0 or 1"),
        ({"test": np.array([True, True])}, "test must mark some recordings, and not all"),
        ({"x": np.full(4, 34, np.uint8)}, r"x must lie in \[0, 34\), got 34"),
        ({"t_us": np.array([9, 5, 8, 1], np.uint32)}, "must be sorted by time"),
        ({"t_us": np.zeros(4)}, "t_us must be uint32"),
    ],
)
def test_nmnist_small_refuses(tmp_path, change, message):
    with pytest.raises(DataError, match=f"{FILE}: .*{message}"):
        nmnist_small(small(tmp_path, **change))


def test_nmnist_small_as_it_is(shared):
    task = nmnist_small(shared / "nmnist_small")
    assert (task.train.size, task.test.size) == (1000, 100)
    batch = joined(task.test.batches(25, None))
    assert np.bincount(batch.ys[0]).tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    spikes = batch.xs.sum(axis=(0, 2))
    assert 1069 <= spikes.min() and spikes.max() <= 7152


@pytest.fixture
def gestures(tmp_path):
    rows = [(5, 7, 1, 100_000, 1), (6, 4, 1, 100_010, 1), (127, 127, 0, 130_000, 1)]
    late = [(0, 0, 1, 900_000, 1), (0, 0, 1, 1_700_000, 1)]
    for user, part in (("user01_led", "train"), ("user24_lab", "test")):
        content = aedat3_bytes(aedat3_packet(rows), aedat3_packet(late))
        (tmp_path / f"{user}.aedat").write_bytes(content)
        (tmp_path / f"{user}_labels.csv").write_text(
            "class,startTime_usec,endTime_usec\n3,100000,800000\n11,100000,1700001\n"
        )
        (tmp_path / f"trials_to_{part}.txt").write_text(f"{user}.aedat\n\n")
    return tmp_path


def test_dvs_gesture(gestures):
    task = dvs_gesture(gestures)
    assert (task.name, task.lines, task.outputs, task.dt) == ("dvs_gesture", 2048, 11, 25e-3)
    assert (task.steps, task.train.size, task.test.size) == (60, 2, 2)
    batch = next(task.train.batches(2, None))
    assert batch.ys[0].tolist() == [2, 10] and batch.valid.sum(axis=0).tolist() == [2, 33]
    step, line = np.nonzero(batch.xs[:, 0])
    assert step.tolist() == [0, 1] and line.tolist() == [32 + 1, 1024 + 1023]
    assert batch.xs[0, 0, 33] == 2  # two pixels of one square
    assert batch.xs[:, 1].sum() == 4  # the event at 1.6 s after the start is beyond 1.5 s


def test_dvs_gesture_refuses(gestures, tmp_path):
    (gestures / "trials_to_test.txt").write_text("../secret.aedat\n")
    with pytest.raises(DataError, match="trials_to_test.txt: must list userNN_LIGHT.aedat, lists"):
        dvs_gesture(gestures)
    (gestures / "trials_to_test.txt").write_text("\n")
    with pytest.raises(DataError, match="trials_to_test.txt: lists no recordings"):
        dvs_gesture(gestures)
    (gestures / "trials_to_test.txt").unlink()
    with pytest.raises(DataError, match="trials_to_test.txt: there is no such file"):
        dvs_gesture(gestures)
