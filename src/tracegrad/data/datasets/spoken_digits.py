"""Spoken digits: recordings of six speakers, heard as level crossings of mel bands."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from tracegrad.data.audio import Gammatone, LogCompression, MelSpectrogram, PowerCompression
from tracegrad.data.encode import bin_events, delta
from tracegrad.data.events import Events
from tracegrad.data.sequences import Sequences, compact
from tracegrad.data.task import Task
from tracegrad.data.wav import read_wav
from tracegrad.errors import DataError, UsageError

RATE, CLASSES, TEST_RECORDINGS = 8000, 10, 5
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav")
SHORTEST = 0.032  # seconds; one default window, and less than a quarter of the shortest recording


@dataclass(frozen=True)
class SpokenEncoding:
    """Band powers, compressed, then level crossings: an ON and an OFF line for each band.

    `threshold` in the unit of the compression (decades by default: a factor of 3.2 in power an
    event). The step is the `hop` of the bank. With 80 steps of 10 ms, 61 of the 3000 recordings
    are longer (the longest has 2.28 s) and lose their end.
    """

    bank: MelSpectrogram | Gammatone = MelSpectrogram()
    compression: LogCompression | PowerCompression = LogCompression()
    threshold: float = 0.5
    steps: int = 80

    def __call__(self, signal: Float64[np.ndarray, "samples"]) -> Events:
        """All events of a recording of 8 kHz, whatever its length."""
        return delta(self.compression(self.bank(signal, RATE)), self.bank.hop, self.threshold)


class _Recording(NamedTuple):
    counts: UInt8[np.ndarray, "T m"]
    length: int
    label: int
    speaker: str
    test: bool
    cut: bool


def spoken_digits(
    data: Path,
    encoding: SpokenEncoding = SpokenEncoding(),
    speaker: str = "",
) -> Task:
    """Ten classes, sequences of 15 to 80 steps, 80 lines.

    `data` is the folder of `{digit}_{speaker}_{index}.wav`, or the one above its `recordings/`:
    mono, 16 bits, 8 kHz. Split of the set: indices 0 to 4 of every speaker and digit are the test
    set; with `speaker` (no name: none), all of that one are, and all others the training set.
    `summary` says how many recordings were longer than `steps` and lost their end. Reads and
    encodes about 700 files a second. Source: Jackson et al., Free Spoken Digit Dataset.

        task = spoken_digits(Path("free-spoken-digit-dataset"))
    """
    if encoding.steps < 1:
        raise UsageError(f"steps must be at least 1, got {encoding.steps}.")
    recordings = [_read(path, encoding) for path in _paths(data)]
    if speaker:
        recordings = _apart(recordings, speaker)
    train = [r for r in recordings if not r.test]
    test = [r for r in recordings if r.test]
    for split, name in ((train, "training"), (test, "test")):
        if not split:
            raise DataError(f"{data}: has no {name} recordings. Add indices 0 to 49 of a speaker.")
    cut = sum(r.cut for r in recordings)
    return Task(
        name="spoken_digits",
        summary=f"10 classes: {len(recordings)} spoken digits as spikes of frequency bands "
        f"({cut} cut at {encoding.steps * encoding.bank.hop:.2f} s).",
        lines=2 * encoding.bank.bands,
        outputs=CLASSES,
        dt=encoding.bank.hop,
        train=_sequences(train),
        test=_sequences(test),
    )


def _apart(recordings: list[_Recording], speaker: str) -> list[_Recording]:
    """The same, those of a speaker for testing, those of all others for training."""
    known = sorted({r.speaker for r in recordings})
    if speaker not in known or len(known) < 2:
        raise UsageError(f"speaker must be one of two or more, {', '.join(known)}; got {speaker}.")
    return [r._replace(test=r.speaker == speaker) for r in recordings]


def _paths(data: Path) -> list[Path]:
    folder = data / "recordings" if (data / "recordings").is_dir() else data
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give the folder of the recordings.")
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        raise DataError(f"{folder}: holds no WAV files. Give the folder of the recordings.")
    return paths


def _read(path: Path, encoding: SpokenEncoding) -> _Recording:
    name = NAME.fullmatch(path.name)
    if name is None:
        raise DataError(f"{path}: must be named digit_speaker_index.wav. Rename or remove it.")
    signal = read_wav(path, RATE)
    if len(signal) < SHORTEST * RATE:
        raise DataError(
            f"{path}: must last {SHORTEST} s or more, lasts {len(signal) / RATE} s. Remove it."
        )
    end = encoding.steps * encoding.bank.hop
    events = encoding(signal).before(end)
    frames = -(-len(signal) // round(encoding.bank.hop * RATE))
    return _Recording(
        counts=compact(bin_events(events, encoding.bank.hop, encoding.steps)),
        length=min(frames, encoding.steps),
        label=int(name["digit"]),
        speaker=name["speaker"],
        test=int(name["index"]) < TEST_RECORDINGS,
        cut=frames > encoding.steps,
    )


def _sequences(recordings: list[_Recording]) -> Sequences:
    counts, lengths, labels = zip(*((r.counts, r.length, r.label) for r in recordings), strict=True)
    return Sequences(np.stack(counts), np.array(lengths), np.array(labels), CLASSES)
