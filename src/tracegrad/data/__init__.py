"""Data: events, their encoding, and tasks made of them; NumPy on the host, no JAX."""

from tracegrad.data.audio import Gammatone as Gammatone
from tracegrad.data.audio import LogCompression as LogCompression
from tracegrad.data.audio import MelSpectrogram as MelSpectrogram
from tracegrad.data.audio import PowerCompression as PowerCompression
from tracegrad.data.datasets.braille import braille as braille
from tracegrad.data.datasets.digits import DigitEncoding as DigitEncoding
from tracegrad.data.datasets.digits import digits as digits
from tracegrad.data.datasets.spoken_digits import SpokenEncoding as SpokenEncoding
from tracegrad.data.datasets.spoken_digits import spoken_digits as spoken_digits
from tracegrad.data.encode import bin_events as bin_events
from tracegrad.data.encode import delta as delta
from tracegrad.data.encode import latency as latency
from tracegrad.data.encode import poisson as poisson
from tracegrad.data.events import Events as Events
from tracegrad.data.registry import TASKS as TASKS
from tracegrad.data.sampler import Sampler as Sampler
from tracegrad.data.sequences import Sequences as Sequences
from tracegrad.data.sequences import compact as compact
from tracegrad.data.task import AbstractSource as AbstractSource
from tracegrad.data.task import Batch as Batch
from tracegrad.data.task import Task as Task
from tracegrad.data.tasks.evidence_accumulation import Evidence as Evidence
from tracegrad.data.tasks.evidence_accumulation import (
    evidence_accumulation as evidence_accumulation,
)
from tracegrad.data.tasks.pattern_generation import Pattern as Pattern
from tracegrad.data.tasks.pattern_generation import pattern_generation as pattern_generation
