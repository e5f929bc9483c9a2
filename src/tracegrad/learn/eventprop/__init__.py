"""EventProp: exact, event-based gradients of current-based LIF networks, without a surrogate."""

from tracegrad.learn.eventprop.event_network import EventLayer as EventLayer
from tracegrad.learn.eventprop.event_network import EventNetwork as EventNetwork
from tracegrad.learn.eventprop.event_network import from_network as from_network
from tracegrad.learn.eventprop.latency import first_spikes as first_spikes
from tracegrad.learn.eventprop.latency import latency_cross_entropy as latency_cross_entropy
from tracegrad.learn.eventprop.simulate import Record as Record
from tracegrad.learn.eventprop.simulate import Spikes as Spikes
from tracegrad.learn.eventprop.simulate import simulate as simulate
