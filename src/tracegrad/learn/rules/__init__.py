"""Named rules, one a file, each a composition of influence, filter and signal."""

from tracegrad.learn.rules.block_diagonal import block_diagonal as block_diagonal
from tracegrad.learn.rules.bptt import bptt as bptt
from tracegrad.learn.rules.dni import dni as dni
from tracegrad.learn.rules.eprop import eprop as eprop
from tracegrad.learn.rules.forward_gradient import forward_gradient as forward_gradient
from tracegrad.learn.rules.kernl import kernl as kernl
from tracegrad.learn.rules.kf_rtrl import kf_rtrl as kf_rtrl
from tracegrad.learn.rules.rtrl import rtrl as rtrl
from tracegrad.learn.rules.uoro import uoro as uoro

RULES = (bptt, rtrl, block_diagonal, eprop, forward_gradient, uoro, dni, kernl, kf_rtrl)
