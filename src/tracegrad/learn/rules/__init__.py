"""Named rules, one a file, each a composition of influence, filter and signal."""

from tracegrad.learn.rules.block_diagonal import block_diagonal as block_diagonal
from tracegrad.learn.rules.bptt import bptt as bptt
from tracegrad.learn.rules.decolle import decolle as decolle
from tracegrad.learn.rules.eprop import eprop as eprop
from tracegrad.learn.rules.etlp import etlp as etlp
from tracegrad.learn.rules.osttp import osttp as osttp
from tracegrad.learn.rules.otpe import otpe as otpe
from tracegrad.learn.rules.reward_eprop import reward_eprop as reward_eprop
from tracegrad.learn.rules.rtrl import rtrl as rtrl
from tracegrad.learn.rules.superspike import superspike as superspike

RULES = (
    bptt,
    rtrl,
    block_diagonal,
    eprop,
    superspike,
    decolle,
    osttp,
    etlp,
    otpe,
    reward_eprop,
)
