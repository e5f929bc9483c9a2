"""Data: events, their encoding, and tasks made of them; NumPy on the host, no JAX."""

from tracegrad.data.audio import Gammatone as Gammatone
from tracegrad.data.audio import LogCompression as LogCompression
from tracegrad.data.audio import MelSpectrogram as MelSpectrogram
from tracegrad.data.audio import PowerCompression as PowerCompression
from tracegrad.data.cochlea import Cochlea as Cochlea
from tracegrad.data.curriculum import Curriculum as Curriculum
from tracegrad.data.datasets.braille import braille as braille
from tracegrad.data.datasets.cochlea_speech import cochlea_speech as cochlea_speech
from tracegrad.data.datasets.digits import DigitEncoding as DigitEncoding
from tracegrad.data.datasets.digits import digits as digits
from tracegrad.data.datasets.dvs_gesture import dvs_gesture as dvs_gesture
from tracegrad.data.datasets.ecg_qtdb import ecg_qtdb as ecg_qtdb
from tracegrad.data.datasets.ecg_qtdb import ecg_qtdb_published as ecg_qtdb_published
from tracegrad.data.datasets.nmnist import nmnist as nmnist
from tracegrad.data.datasets.nmnist_small import nmnist_small as nmnist_small
from tracegrad.data.datasets.pixel_events import PixelBinning as PixelBinning
from tracegrad.data.datasets.sequential_mnist import permuted_mnist as permuted_mnist
from tracegrad.data.datasets.sequential_mnist import sequential_mnist as sequential_mnist
from tracegrad.data.datasets.sequential_mnist import (
    sequential_mnist_pixels as sequential_mnist_pixels,
)
from tracegrad.data.datasets.shd import shd as shd
from tracegrad.data.datasets.speech_commands import CommandEncoding as CommandEncoding
from tracegrad.data.datasets.speech_commands import speech_commands as speech_commands
from tracegrad.data.datasets.spike_files import SpikeBinning as SpikeBinning
from tracegrad.data.datasets.spoken_digits import SpokenEncoding as SpokenEncoding
from tracegrad.data.datasets.spoken_digits import spoken_digits as spoken_digits
from tracegrad.data.datasets.ssc import ssc as ssc
from tracegrad.data.datasets.ucr_small import basic_motions as basic_motions
from tracegrad.data.datasets.ucr_small import japanese_vowels as japanese_vowels
from tracegrad.data.encode import bin_events as bin_events
from tracegrad.data.encode import delta as delta
from tracegrad.data.encode import latency as latency
from tracegrad.data.encode import poisson as poisson
from tracegrad.data.events import Events as Events
from tracegrad.data.recordings import Recording as Recording
from tracegrad.data.recordings import Recordings as Recordings
from tracegrad.data.registry import TASKS as TASKS
from tracegrad.data.sampler import Sampler as Sampler
from tracegrad.data.sequences import Sequences as Sequences
from tracegrad.data.sequences import compact as compact
from tracegrad.data.task import AbstractSource as AbstractSource
from tracegrad.data.task import Batch as Batch
from tracegrad.data.task import Step as Step
from tracegrad.data.task import Task as Task
from tracegrad.data.tasks.add import Add as Add
from tracegrad.data.tasks.add import add as add
from tracegrad.data.tasks.adding_problem import Adding as Adding
from tracegrad.data.tasks.adding_problem import adding_problem as adding_problem
from tracegrad.data.tasks.copy_curriculum import CopyCurriculum as CopyCurriculum
from tracegrad.data.tasks.copy_curriculum import copy_curriculum as copy_curriculum
from tracegrad.data.tasks.copy_memory import CopyMemory as CopyMemory
from tracegrad.data.tasks.copy_memory import copy_memory as copy_memory
from tracegrad.data.tasks.copy_pattern import CopyPattern as CopyPattern
from tracegrad.data.tasks.copy_pattern import copy_pattern as copy_pattern
from tracegrad.data.tasks.delayed_xor import DelayedXor as DelayedXor
from tracegrad.data.tasks.delayed_xor import delayed_xor as delayed_xor
from tracegrad.data.tasks.evidence_accumulation import Evidence as Evidence
from tracegrad.data.tasks.evidence_accumulation import (
    evidence_accumulation as evidence_accumulation,
)
from tracegrad.data.tasks.evidence_accumulation import (
    evidence_accumulation_lif as evidence_accumulation_lif,
)
from tracegrad.data.tasks.match_to_sample import MatchToSample as MatchToSample
from tracegrad.data.tasks.match_to_sample import match_to_sample as match_to_sample
from tracegrad.data.tasks.mimic import Mimic as Mimic
from tracegrad.data.tasks.mimic import mimic as mimic
from tracegrad.data.tasks.pattern_generation import Pattern as Pattern
from tracegrad.data.tasks.pattern_generation import pattern_generation as pattern_generation
from tracegrad.data.tasks.randman import Randman as Randman
from tracegrad.data.tasks.randman import bounded_spectrum as bounded_spectrum
from tracegrad.data.tasks.randman import power_spectrum as power_spectrum
from tracegrad.data.tasks.randman import randman as randman
from tracegrad.data.tasks.randman import randman_rate as randman_rate
from tracegrad.data.tasks.store_recall import StoreRecall as StoreRecall
from tracegrad.data.tasks.store_recall import store_recall as store_recall
from tracegrad.data.tasks.target_trains import TargetTrains as TargetTrains
from tracegrad.data.tasks.target_trains import target_trains as target_trains
from tracegrad.data.tasks.tempotron import Tempotron as Tempotron
from tracegrad.data.tasks.tempotron import tempotron as tempotron
from tracegrad.data.tasks.yin_yang import YinYang as YinYang
from tracegrad.data.tasks.yin_yang import yin_yang as yin_yang
