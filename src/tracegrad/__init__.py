"""tracegrad: write one neuron, get its online learning rule."""

from tracegrad import data as data
from tracegrad import inspect as inspect
from tracegrad import stream as stream
from tracegrad import substrate as substrates
from tracegrad.interop import from_nir as from_nir
from tracegrad.interop import rule_from_nir as rule_from_nir
from tracegrad.interop import to_nir as to_nir
from tracegrad.interop import write_nir as write_nir
from tracegrad.learn import eventprop as eventprop
from tracegrad.learn import losses as losses
from tracegrad.learn import rules as rules
from tracegrad.learn import signals as signals
from tracegrad.learn.filter import Kappa as Kappa
from tracegrad.learn.filter import NoFilter as NoFilter
from tracegrad.learn.regulariser import RateRegulariser as RateRegulariser
from tracegrad.learn.rule import Rule as Rule
from tracegrad.learn.step_size import scale_by_decaying_max as scale_by_decaying_max
from tracegrad.model import ALIF as ALIF
from tracegrad.model import GRU as GRU
from tracegrad.model import IF as IF
from tracegrad.model import LI as LI
from tracegrad.model import LIF as LIF
from tracegrad.model import LRU as LRU
from tracegrad.model import LSTM as LSTM
from tracegrad.model import AbstractNeuron as AbstractNeuron
from tracegrad.model import AbstractReset as AbstractReset
from tracegrad.model import AbstractSurrogate as AbstractSurrogate
from tracegrad.model import AdEx as AdEx
from tracegrad.model import Arctan as Arctan
from tracegrad.model import Boxcar as Boxcar
from tracegrad.model import Conv as Conv
from tracegrad.model import CubaLIF as CubaLIF
from tracegrad.model import Dense as Dense
from tracegrad.model import DoubleExponential as DoubleExponential
from tracegrad.model import Integrator as Integrator
from tracegrad.model import Izhikevich as Izhikevich
from tracegrad.model import Layer as Layer
from tracegrad.model import Memoryless as Memoryless
from tracegrad.model import Network as Network
from tracegrad.model import NoReset as NoReset
from tracegrad.model import Pool as Pool
from tracegrad.model import Positive as Positive
from tracegrad.model import Readout as Readout
from tracegrad.model import ResonateAndFire as ResonateAndFire
from tracegrad.model import Sigmoid as Sigmoid
from tracegrad.model import Sparse as Sparse
from tracegrad.model import StraightThrough as StraightThrough
from tracegrad.model import SubtractReset as SubtractReset
from tracegrad.model import SuperSpike as SuperSpike
from tracegrad.model import Tanh as Tanh
from tracegrad.model import Triangle as Triangle
from tracegrad.model import TwoCompartment as TwoCompartment
from tracegrad.model import ZeroReset as ZeroReset
from tracegrad.model import adjustable as adjustable
from tracegrad.model import decay as decay
from tracegrad.model import parameter as parameter
from tracegrad.model import positive as positive
from tracegrad.model import setting as setting
from tracegrad.run.learner import Info as Info
from tracegrad.run.learner import Learner as Learner
from tracegrad.run.learner import LearnerState as LearnerState

__all__ = [
    "data",
    "ALIF",
    "AdEx",
    "GRU",
    "IF",
    "Izhikevich",
    "LRU",
    "LSTM",
    "ResonateAndFire",
    "TwoCompartment",
    "AbstractNeuron",
    "AbstractReset",
    "AbstractSurrogate",
    "Arctan",
    "Boxcar",
    "Conv",
    "CubaLIF",
    "Dense",
    "DoubleExponential",
    "Info",
    "Integrator",
    "Kappa",
    "LI",
    "LIF",
    "Layer",
    "Learner",
    "LearnerState",
    "Memoryless",
    "Network",
    "NoFilter",
    "NoReset",
    "Pool",
    "Positive",
    "RateRegulariser",
    "Readout",
    "Rule",
    "Sigmoid",
    "Sparse",
    "StraightThrough",
    "SubtractReset",
    "SuperSpike",
    "Tanh",
    "Triangle",
    "ZeroReset",
    "decay",
    "eventprop",
    "from_nir",
    "inspect",
    "losses",
    "parameter",
    "positive",
    "rule_from_nir",
    "rules",
    "scale_by_decaying_max",
    "adjustable",
    "setting",
    "signals",
    "stream",
    "substrates",
    "to_nir",
    "write_nir",
]
