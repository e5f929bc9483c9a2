"""Graph: what backpropagation through time keeps, the computation graph itself."""

import equinox as eqx

from tracegrad.model.parameter import setting


class Graph(eqx.Module):
    """Keeps the graph of a block, or of each window of it, instead of an influence: offline.

    `window=None` keeps the whole block; `window=K` cuts it before every K-th step, the first
    included, so that credit reaches 0 to K - 1 steps back.
    """

    window: int | None = setting(None)
