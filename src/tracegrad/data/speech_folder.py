"""Speech folder: its sounds, what is said in them, by whom, and which are for testing."""

import re
from pathlib import Path
from typing import NamedTuple

from tracegrad.data.formats.listed import read_bytes
from tracegrad.errors import DataError

FLAT = re.compile(r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav")
TEST_RECORDINGS = 5  # indices 0 to 4 of a speaker and label are for testing, as in FSDD
TEST_SHARE = 10  # where nothing says which: every tenth of a label
LIST, LARGEST_LIST = "testing_list.txt", 2**22


class Sound(NamedTuple):
    """A WAV file, its label, its speaker, and whether it is for testing."""

    path: Path
    label: str
    speaker: str
    test: bool


def speech_folder(folder: Path) -> list[Sound]:
    """All sounds of a folder, sorted by path.

    Either `LABEL_SPEAKER_INDEX.wav` in it (or in its `recordings/`), indices 0 to 4 for testing, as
    in the Free Spoken Digit Dataset; or a folder for each label with `SPEAKER_*.wav`, those that
    `testing_list.txt` lists for testing, as in Speech Commands, or else every tenth of a label.

        sounds = speech_folder(Path("free-spoken-digit-dataset"))
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give the folder of the sounds.")
    flat = folder / "recordings" if (folder / "recordings").is_dir() else folder
    files = sorted(flat.glob("*.wav"))
    sounds = [_flat(path) for path in files] if files else _nested(folder)
    if len({sound.label for sound in sounds}) < 2:
        raise DataError(f"{folder}: must hold WAV files of two labels or more. See the manual.")
    for test in (False, True):
        if not any(sound.test == test for sound in sounds):
            kind = "testing" if test else "training"
            raise DataError(f"{folder}: has no sounds for {kind}. Add some.")
    return sounds


def _flat(path: Path) -> Sound:
    name = FLAT.fullmatch(path.name)
    if name is None:
        raise DataError(f"{path}: must be named LABEL_SPEAKER_INDEX.wav. Rename or remove it.")
    return Sound(path, name["label"], name["speaker"], int(name["index"]) < TEST_RECORDINGS)


def _nested(folder: Path) -> list[Sound]:
    listed = None
    if (folder / LIST).is_file():
        text = read_bytes(folder / LIST, LARGEST_LIST).decode("utf-8", "replace")
        listed = set(text.split())
    sounds = []
    for inside in sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._"):
        for number, path in enumerate(sorted(inside.glob("*.wav"))):
            name = f"{inside.name}/{path.name}"
            test = name in listed if listed is not None else number % TEST_SHARE == 0
            sounds.append(Sound(path, inside.name, path.name.split("_")[0], test))
    return sounds
