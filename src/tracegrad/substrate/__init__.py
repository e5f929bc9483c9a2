"""Substrates: the numbers, limits and flaws of hardware, and learning under them."""

from tracegrad.substrate.decays import HeldDecays as HeldDecays
from tracegrad.substrate.decays import ShiftDecays as ShiftDecays
from tracegrad.substrate.fixed import Fixed as Fixed
from tracegrad.substrate.fixed import Saturate as Saturate
from tracegrad.substrate.fixed import Wrap as Wrap
from tracegrad.substrate.from_preset import substrate as substrate
from tracegrad.substrate.mismatch import Mismatch as Mismatch
from tracegrad.substrate.number import Number as Number
from tracegrad.substrate.rounding import Floor as Floor
from tracegrad.substrate.rounding import Lfsr as Lfsr
from tracegrad.substrate.rounding import Nearest as Nearest
from tracegrad.substrate.rounding import Stochastic as Stochastic
from tracegrad.substrate.scale import PerMatrix as PerMatrix
from tracegrad.substrate.scale import PerNeuron as PerNeuron
from tracegrad.substrate.scale import Point as Point
from tracegrad.substrate.substrate import Substrate as Substrate
from tracegrad.substrate.update import Accumulate as Accumulate
from tracegrad.substrate.update import Direct as Direct
from tracegrad.substrate.weights import Weights as Weights
from tracegrad.substrate.xylo import IntegerLayer as IntegerLayer
from tracegrad.substrate.xylo import IntegerState as IntegerState
from tracegrad.substrate.xylo import IntegerStep as IntegerStep
