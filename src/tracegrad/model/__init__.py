"""Neurons, connections, layers and networks."""

from tracegrad.model.abstract_connection import AbstractConnection as AbstractConnection
from tracegrad.model.adex import AdEx as AdEx
from tracegrad.model.adjustable import adjustable as adjustable
from tracegrad.model.alif import ALIF as ALIF
from tracegrad.model.connection import Dense as Dense
from tracegrad.model.conv import Conv as Conv
from tracegrad.model.cuba_lif import CubaLIF as CubaLIF
from tracegrad.model.double_exponential import DoubleExponential as DoubleExponential
from tracegrad.model.gru import GRU as GRU
from tracegrad.model.integrate_and_fire import IF as IF
from tracegrad.model.integrator import Integrator as Integrator
from tracegrad.model.izhikevich import Izhikevich as Izhikevich
from tracegrad.model.layer import Layer as Layer
from tracegrad.model.layer import Readout as Readout
from tracegrad.model.li import LI as LI
from tracegrad.model.lif import LIF as LIF
from tracegrad.model.linear import AbstractLinear as AbstractLinear
from tracegrad.model.lru import LRU as LRU
from tracegrad.model.lstm import LSTM as LSTM
from tracegrad.model.memoryless import Memoryless as Memoryless
from tracegrad.model.network import Circuit as Circuit
from tracegrad.model.network import Network as Network
from tracegrad.model.neuron import AbstractNeuron as AbstractNeuron
from tracegrad.model.parameter import Positive as Positive
from tracegrad.model.parameter import decay as decay
from tracegrad.model.parameter import parameter as parameter
from tracegrad.model.parameter import positive as positive
from tracegrad.model.parameter import setting as setting
from tracegrad.model.pool import Pool as Pool
from tracegrad.model.reset import AbstractReset as AbstractReset
from tracegrad.model.reset import NoReset as NoReset
from tracegrad.model.reset import SubtractReset as SubtractReset
from tracegrad.model.reset import ZeroReset as ZeroReset
from tracegrad.model.resonate_and_fire import ResonateAndFire as ResonateAndFire
from tracegrad.model.sparse import Sparse as Sparse
from tracegrad.model.surrogate import AbstractSurrogate as AbstractSurrogate
from tracegrad.model.surrogate import Arctan as Arctan
from tracegrad.model.surrogate import Boxcar as Boxcar
from tracegrad.model.surrogate import Sigmoid as Sigmoid
from tracegrad.model.surrogate import StraightThrough as StraightThrough
from tracegrad.model.surrogate import SuperSpike as SuperSpike
from tracegrad.model.surrogate import Triangle as Triangle
from tracegrad.model.tanh import Tanh as Tanh
from tracegrad.model.two_compartment import TwoCompartment as TwoCompartment

NEURONS = (
    LIF,
    IF,
    CubaLIF,
    ALIF,
    AdEx,
    Izhikevich,
    ResonateAndFire,
    TwoCompartment,
    LI,
    Tanh,
    GRU,
    LSTM,
    LRU,
)
