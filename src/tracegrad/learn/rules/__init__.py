"""Named rules, one a file, each a composition of influence, filter and signal."""

from tracegrad.learn.rules.block_diagonal import block_diagonal as block_diagonal
from tracegrad.learn.rules.bptt import bptt as bptt
from tracegrad.learn.rules.eprop import eprop as eprop
from tracegrad.learn.rules.rtrl import rtrl as rtrl

RULES = (bptt, rtrl, block_diagonal, eprop)
