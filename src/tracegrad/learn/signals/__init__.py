"""Signals by name: how a hidden neuron learns of the loss."""

from tracegrad.learn.signal import AbstractSignal as AbstractSignal
from tracegrad.learn.signal import Adaptive as Adaptive
from tracegrad.learn.signal import Random as Random
from tracegrad.learn.signal import Symmetric as Symmetric
from tracegrad.learn.signal import ThroughReadout as ThroughReadout
from tracegrad.learn.signals.downstream import Downstream as Downstream
from tracegrad.learn.signals.local_readout import LocalReadout as LocalReadout
from tracegrad.learn.signals.own_error import OwnError as OwnError
from tracegrad.learn.signals.target import Target as Target
from tracegrad.learn.signals.uniform import Uniform as Uniform
