"""References written by hand in JAX: what an expert would write for exactly this network.

All return the loss and the gradient in the layout (from, to).
"""

from tracegrad.bench.references.dense_rtrl import dense_rtrl as dense_rtrl
from tracegrad.bench.references.naive_eprop import naive_eprop as naive_eprop
from tracegrad.bench.references.reverse_mode import expert_bptt as expert_bptt
from tracegrad.bench.references.reverse_mode import stop_gradient as stop_gradient
from tracegrad.bench.references.weights import Gradient as Gradient

REFERENCES: dict[str, Gradient] = {
    "expert BPTT": expert_bptt,
    "stop-gradient": stop_gradient,
    "naive e-prop": naive_eprop,
    "dense RTRL": dense_rtrl,
}
