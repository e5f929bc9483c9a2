"""Named rules, one a file, each a composition of influence, filter and signal."""

from tracegrad.learn.rules.block import block as block
from tracegrad.learn.rules.block_diagonal import block_diagonal as block_diagonal
from tracegrad.learn.rules.bptt import bptt as bptt
from tracegrad.learn.rules.d_rtrl import d_rtrl as d_rtrl
from tracegrad.learn.rules.decolle import decolle as decolle
from tracegrad.learn.rules.dni import dni as dni
from tracegrad.learn.rules.eprop import eprop as eprop
from tracegrad.learn.rules.es_d_rtrl import es_d_rtrl as es_d_rtrl
from tracegrad.learn.rules.etlp import etlp as etlp
from tracegrad.learn.rules.forward_gradient import forward_gradient as forward_gradient
from tracegrad.learn.rules.fptt import fptt as fptt
from tracegrad.learn.rules.future_bptt import future_bptt as future_bptt
from tracegrad.learn.rules.kernl import kernl as kernl
from tracegrad.learn.rules.kf_rtrl import kf_rtrl as kf_rtrl
from tracegrad.learn.rules.ostl import ostl as ostl
from tracegrad.learn.rules.osttp import osttp as osttp
from tracegrad.learn.rules.otpe import otpe as otpe
from tracegrad.learn.rules.ottt import ottt as ottt
from tracegrad.learn.rules.reward_eprop import reward_eprop as reward_eprop
from tracegrad.learn.rules.rflo import rflo as rflo
from tracegrad.learn.rules.rtrl import rtrl as rtrl
from tracegrad.learn.rules.sltt import sltt as sltt
from tracegrad.learn.rules.snap import snap as snap
from tracegrad.learn.rules.superspike import superspike as superspike
from tracegrad.learn.rules.truncated_bptt import truncated_bptt as truncated_bptt
from tracegrad.learn.rules.uoro import uoro as uoro

RULES = (
    bptt,
    truncated_bptt,
    future_bptt,
    fptt,
    rtrl,
    block,
    snap,
    ostl,
    block_diagonal,
    d_rtrl,
    eprop,
    rflo,
    ottt,
    es_d_rtrl,
    sltt,
    superspike,
    decolle,
    osttp,
    etlp,
    otpe,
    reward_eprop,
    forward_gradient,
    uoro,
    kf_rtrl,
    kernl,
    dni,
)
