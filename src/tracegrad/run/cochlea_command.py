"""Cochlea command: `tracegrad data cochlea DIR OUT.h5`, a folder of speech as a file of spikes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from tracegrad.data.cochlea import Cochlea
from tracegrad.data.events import Events
from tracegrad.data.formats.hdf5_write import Spoken, write_spikes
from tracegrad.data.speech_folder import Sound, speech_folder
from tracegrad.data.wav import read_sound
from tracegrad.errors import UsageError
from tracegrad.run.options import parse


@dataclass(frozen=True)
class CochleaOptions:
    """Turn a folder of WAV files into a file of spikes in the format of SHD."""

    seed: int = 0
    """Seed of the releases of transmitter; each sound has a stream of its own."""


def cochlea(arguments: list[str]) -> None:
    """Hear every sound of a folder; some two seconds of work for a second of sound."""
    if {"-h", "--help"} & set(arguments):
        parse(CochleaOptions(), "data cochlea DIR OUT.h5", ["--help"])
    if len(arguments) < 2 or any(name.startswith("-") for name in arguments[:2]):
        raise UsageError("data cochlea needs a folder and a file: data cochlea DIR OUT.h5.")
    folder, out = Path(arguments[0]), Path(arguments[1])
    if out.suffix != ".h5":
        raise UsageError(f"The file must end in .h5, got {out}. Give it another name.")
    options = parse(CochleaOptions(), "data cochlea DIR OUT.h5", arguments[2:])
    sounds = speech_folder(folder)
    write_spikes(out, described(sounds), _heard(sounds, options.seed))
    spared = sum(sound.test for sound in sounds)
    print(f"{out}: {len(sounds) - spared} sounds for training and {spared} for the test.")
    print(f"  tracegrad train cochlea-speech --data {out}")


def described(sounds: list[Sound]) -> Spoken:
    """Labels and speakers as indices into their sorted names."""
    keys = sorted({sound.label for sound in sounds})
    speakers = sorted({sound.speaker for sound in sounds})
    return Spoken(
        keys=tuple(keys),
        labels=tuple(keys.index(sound.label) for sound in sounds),
        speakers=tuple(speakers.index(sound.speaker) for sound in sounds),
        test=tuple(sound.test for sound in sounds),
    )


def _heard(sounds: list[Sound], seed: int) -> Iterator[Events]:
    ear, console = Cochlea(), Console(stderr=True)
    streams = np.random.default_rng(seed).spawn(len(sounds))
    paired = list(zip(sounds, streams, strict=True))
    for sound, rng in track(paired, "hearing", console=console, disable=not console.is_terminal):
        rate, signal = read_sound(sound.path)
        try:
            yield ear(signal, rate, rng)
        except UsageError as error:
            raise UsageError(f"{sound.path}: {error}") from error
