"""Losses by name."""

from tracegrad.learn.loss import Loss as Loss
from tracegrad.learn.loss import class_squared_error as class_squared_error
from tracegrad.learn.loss import cross_entropy as cross_entropy
from tracegrad.learn.loss import mean_squared_error as mean_squared_error
from tracegrad.learn.losses.actor_critic import actor_critic as actor_critic
from tracegrad.learn.losses.first_spike_latency import first_spike_latency as first_spike_latency
from tracegrad.learn.losses.max_over_time import max_over_time as max_over_time
from tracegrad.learn.losses.van_rossum import van_rossum as van_rossum
