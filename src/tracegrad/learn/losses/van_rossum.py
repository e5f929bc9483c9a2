"""van_rossum: distance of spike trains, both seen through the readout's kernel."""

from tracegrad.learn.loss import Loss, mean_squared_error
from tracegrad.learn.regulariser import RateRegulariser


def van_rossum(rate: RateRegulariser | None = None) -> Loss:
    r"""Van Rossum distance $\frac12\sum_t\big(\alpha*S_k-\alpha*\hat S_k\big)^2$.

    The kernel $\alpha$ is the readout's own: a leak (van Rossum 2001) or, with
    `Readout.of(DoubleExponential(), ...)`, the double exponential of SuperSpike. Targets are spike
    trains $\hat S$ of shape (time, batch, o); they pass the same filter on the way, also in a
    stream. The readout's time constants must be frozen: they define the distance. `rate` adds a
    rate regulariser. Source: van Rossum 2001; Zenke & Ganguli 2018.
    """
    return mean_squared_error(rate)._replace(kernel=True)
