"""How each signal is told in equations, one a file."""

from tracegrad.inspect.feedback import signal as signal
from tracegrad.inspect.signals import broadcast as broadcast
from tracegrad.inspect.signals import downstream as downstream
from tracegrad.inspect.signals import kernel as kernel
from tracegrad.inspect.signals import leaving as leaving
from tracegrad.inspect.signals import local_readout as local_readout
from tracegrad.inspect.signals import own_error as own_error
from tracegrad.inspect.signals import symmetric as symmetric
from tracegrad.inspect.signals import synthetic as synthetic
