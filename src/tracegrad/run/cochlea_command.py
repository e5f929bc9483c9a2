"""Cochlea command: `tracegrad data cochlea DIR OUT.h5`, a folder of speech as a file of spikes."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
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
    workers: int = max(1, (os.cpu_count() or 1) // 2)
    """Processes that hear at once; each takes up to 2 GB for long sounds."""


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
    if options.workers < 1:
        raise UsageError(f"workers must be at least 1, got {options.workers}.")
    sounds = speech_folder(folder)
    _all_can_be_heard(sounds)
    write_spikes(out, described(sounds), _heard(sounds, options))
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


def _heard(sounds: list[Sound], options: CochleaOptions) -> Iterator[Events]:
    """Spikes of each sound in turn; the same ones whatever the number of workers."""
    ear, console = Cochlea(), Console(stderr=True)
    streams = np.random.default_rng(options.seed).spawn(len(sounds))
    with ExitStack() as stack:
        if options.workers == 1:
            spread = map
        else:
            made = ProcessPoolExecutor(options.workers, get_context("spawn"))
            spread = stack.enter_context(made).map
        heard = spread(partial(_hear, ear), sounds, streams)
        shown = {"console": console, "disable": not console.is_terminal}
        yield from track(heard, "hearing", len(sounds), **shown)


def _hear(ear: Cochlea, sound: Sound, rng: np.random.Generator) -> Events:
    rate, signal = read_sound(sound.path)
    return ear(signal, rate, rng)


def _all_can_be_heard(sounds: list[Sound]) -> None:
    """A mistake in the last sound is told before an hour goes into the others."""
    for sound in sounds:
        rate, signal = read_sound(sound.path)
        try:
            Cochlea().power(signal, rate)
        except UsageError as error:
            raise UsageError(f"{sound.path}: {error}") from error
