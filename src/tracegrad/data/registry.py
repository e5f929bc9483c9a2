"""The tasks there are, by name."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tracegrad.data.datasets.braille import braille
from tracegrad.data.datasets.cochlea_speech import cochlea_speech
from tracegrad.data.datasets.digits import digits
from tracegrad.data.datasets.dvs_gesture import dvs_gesture
from tracegrad.data.datasets.ecg_qtdb import ecg_qtdb, ecg_qtdb_published
from tracegrad.data.datasets.nmnist import nmnist
from tracegrad.data.datasets.nmnist_small import nmnist_small
from tracegrad.data.datasets.sequential_mnist import (
    permuted_mnist,
    sequential_mnist,
    sequential_mnist_pixels,
)
from tracegrad.data.datasets.shd import shd
from tracegrad.data.datasets.speech_commands import speech_commands
from tracegrad.data.datasets.spoken_digits import spoken_digits
from tracegrad.data.datasets.ssc import ssc
from tracegrad.data.datasets.ucr_small import basic_motions, japanese_vowels
from tracegrad.data.task import Task
from tracegrad.data.tasks.add import add
from tracegrad.data.tasks.adding_problem import adding_problem
from tracegrad.data.tasks.copy_curriculum import copy_curriculum
from tracegrad.data.tasks.copy_memory import copy_memory
from tracegrad.data.tasks.copy_pattern import copy_pattern
from tracegrad.data.tasks.delayed_xor import DelayedXor, delayed_xor
from tracegrad.data.tasks.evidence_accumulation import (
    evidence_accumulation,
    evidence_accumulation_lif,
)
from tracegrad.data.tasks.match_to_sample import match_to_sample
from tracegrad.data.tasks.mimic import mimic
from tracegrad.data.tasks.pattern_generation import pattern_generation
from tracegrad.data.tasks.randman import randman, randman_rate
from tracegrad.data.tasks.store_recall import store_recall
from tracegrad.data.tasks.target_trains import target_trains
from tracegrad.data.tasks.tempotron import tempotron
from tracegrad.data.tasks.yin_yang import yin_yang


class Entry(NamedTuple):
    """A task before it is built: `make()`, or `make(data)` where it reads a folder.

    `folder` is the name of that folder among the sets that lie in TRACEGRAD_DATA.
    """

    make: Callable[..., Task]
    summary: str
    needs_data: bool
    folder: str = ""


TASKS = {
    "digits": Entry(digits, "1797 scans of handwritten digits, one spike a pixel", False),
    "spoken_digits": Entry(spoken_digits, "Free Spoken Digit Dataset, WAV files", True, "fsdd"),
    "braille": Entry(
        braille, "tactile events of seven braille letters, npz file", True, "braille_letters"
    ),
    "shd": Entry(shd, "spoken digits in two languages, spikes of a cochlea", True, "shd"),
    "ssc": Entry(ssc, "35 spoken words, spikes of a cochlea", True, "ssc"),
    "cochlea_speech": Entry(
        cochlea_speech, "a folder of speech, spikes of a cochlea", True, "cochlea"
    ),
    "speech_commands": Entry(
        speech_commands, "35 spoken words, WAV files", True, "speech_commands"
    ),
    "nmnist": Entry(nmnist, "handwritten digits seen by an event camera", True, "nmnist"),
    "nmnist_small": Entry(nmnist_small, "1100 of them, npz file", True, "nmnist_small"),
    "dvs_gesture": Entry(
        dvs_gesture, "gestures of hand and arm seen by an event camera", True, "dvs_gesture"
    ),
    "sequential_mnist": Entry(sequential_mnist, "MNIST row by row", True, "mnist"),
    "sequential_mnist_pixels": Entry(
        sequential_mnist_pixels, "MNIST pixel by pixel", True, "mnist"
    ),
    "permuted_mnist": Entry(
        permuted_mnist, "MNIST pixel by pixel in one random order", True, "mnist"
    ),
    "ecg_qtdb": Entry(ecg_qtdb, "the wave of the heartbeat at every step", True, "ecg_qtdb"),
    "ecg_qtdb_published": Entry(
        ecg_qtdb_published, "the same, steps without a label count as published", True, "ecg_qtdb"
    ),
    "japanese_vowels": Entry(japanese_vowels, "nine speakers of one vowel", True, "ucr_small"),
    "basic_motions": Entry(basic_motions, "four activities, smartwatch", True, "ucr_small"),
    "pattern_generation": Entry(pattern_generation, "frozen noise to a sum of sines", False),
    "evidence_accumulation": Entry(
        evidence_accumulation, "which side had more cues, asked a second later", False
    ),
    "evidence_accumulation_lif": Entry(
        evidence_accumulation_lif, "the same for LIF neurons with a long memory", False
    ),
    "randman": Entry(randman, "random manifolds as spike times", False),
    "randman_rate": Entry(randman_rate, "random manifolds as rates", False),
    "yin_yang": Entry(yin_yang, "which part of the Yin-Yang symbol, four spike times", False),
    **{
        f"delayed_xor_{1000 * delay:g}": Entry(
            partial(delayed_xor, settings=DelayedXor(delay=delay)),
            f"did two cues {1000 * delay:g} ms apart differ",
            False,
        )
        for delay in (0.0, 0.1, 0.5)
    },
    "copy_pattern": Entry(copy_pattern, "give random bits back after a stop signal", False),
    "copy_memory": Entry(copy_memory, "repeat ten symbols after a blank", False),
    "copy_curriculum": Entry(
        copy_curriculum, "give bits back, one more as soon as that is learned", False
    ),
    "add": Entry(add, "a coin biased by those 5 and 9 steps before", False),
    "mimic": Entry(mimic, "what a fixed recurrent network says of noise", False),
    "adding_problem": Entry(adding_problem, "add the two marked ones of 50 numbers", False),
    "match_to_sample": Entry(match_to_sample, "is the direction that of a second before", False),
    "store_recall": Entry(store_recall, "which bit was on at the store command", False),
    "tempotron": Entry(tempotron, "100 random spike patterns, by heart", False),
    "target_trains": Entry(target_trains, "frozen noise to given spike trains", False),
}
