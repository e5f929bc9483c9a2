"""Google Speech Commands: thirty-five words, heard as level crossings of mel bands."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tracegrad.data.audio import Gammatone, LogCompression, MelSpectrogram, PowerCompression
from tracegrad.data.checks import at_least
from tracegrad.data.encode import bin_events, delta
from tracegrad.data.formats.listed import read_bytes
from tracegrad.data.recordings import Recording, Recordings, one_class
from tracegrad.data.task import Task
from tracegrad.data.wav import read_wav
from tracegrad.errors import DataError

RATE = 16000
WORD = re.compile(r"[a-z]+")
LISTED = re.compile(r"[a-z]+/[0-9a-f]+_nohash_[0-9]+\.wav")
LARGEST_LIST = 2**22  # bytes; the longer of the two lists has 400 kB
WORDS = 35


@dataclass(frozen=True)
class CommandEncoding:
    """Band powers, compressed, then level crossings: an ON and an OFF line for each band.

    `threshold` in the unit of the compression (decades). A step is the `hop` of the bank; a
    recording of the set lasts at most a second, 100 steps of 10 ms.
    """

    bank: MelSpectrogram | Gammatone = MelSpectrogram(high=7800.0)
    compression: LogCompression | PowerCompression = LogCompression()
    threshold: float = 0.5
    steps: int = 100


class _Sound(NamedTuple):
    path: Path
    label: int


def speech_commands(data: Path, encoding: CommandEncoding = CommandEncoding()) -> Task:
    """Thirty-five words, 80 lines (40 mel bands, ON and OFF), up to 100 steps of 10 ms.

    `data` is the folder of a folder of WAV files (mono, 16 bits, 16 kHz) for each word, of
    `testing_list.txt` and of `validation_list.txt`: what the first lists is the test set (11,005),
    what the second lists (9981) is for tuning and is not read, the rest (84,843) is for training.
    A sound is read and encoded when a batch needs it, some 500 a second. Licence: CC BY 4.0.
    Source: Warden 2018, Speech Commands, arXiv 1804.03209 (version 2).

        task = speech_commands(Path("speech_commands"))
    """
    at_least(1, steps=encoding.steps)
    words = _words(data)
    test, spared = (_list(data / f"{name}_list.txt") for name in ("testing", "validation"))
    sounds = [
        _Sound(path, label)
        for label, word in enumerate(words)
        for path in sorted((data / word).glob("*.wav"))
    ]
    names = [f"{path.parent.name}/{path.name}" for path, _ in sounds]
    held_out = [s for s, name in zip(sounds, names, strict=True) if name in test]
    train = [s for s, n in zip(sounds, names, strict=True) if n not in test and n not in spared]
    for split, name in ((train, "training"), (held_out, "test")):
        if not split:
            raise DataError(f"{data}: has no {name} recordings. Unpack the whole set there.")
    return Task(
        name="speech_commands",
        summary=f"{len(words)} classes: {len(train) + len(held_out)} spoken words as spikes of "
        "frequency bands.",
        lines=2 * encoding.bank.bands,
        outputs=len(words),
        dt=encoding.bank.hop,
        train=Recordings(partial(_read, train, encoding), len(train), encoding.steps),
        test=Recordings(partial(_read, held_out, encoding), len(held_out), encoding.steps),
    )


def _words(data: Path) -> list[str]:
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder. Give the one of the words' folders.")
    words = sorted(p.name for p in data.iterdir() if p.is_dir() and WORD.fullmatch(p.name))
    if not 2 <= len(words) <= WORDS:
        raise DataError(f"{data}: must hold folders of 2 to {WORDS} words, holds {len(words)}.")
    return words


def _list(path: Path) -> set[str]:
    names = read_bytes(path, LARGEST_LIST).decode("utf-8", "replace").split()
    for name in names:
        if not LISTED.fullmatch(name):
            raise DataError(f"{path}: must list word/NAME_nohash_N.wav, lists {name[:60]!r}.")
    return set(names)


def _read(sounds: list[_Sound], encoding: CommandEncoding, index: int) -> Recording:
    path, label = sounds[index]
    bank = encoding.bank
    features = encoding.compression(bank(read_wav(path, RATE), RATE))
    if len(features) > encoding.steps:
        raise DataError(
            f"{path}: must last at most {encoding.steps * bank.hop:g} s, lasts "
            f"{len(features) * bank.hop:g} s. Raise steps, or remove it."
        )
    events = delta(features, bank.hop, encoding.threshold)
    return one_class(bin_events(events, bank.hop, len(features)), label)
