"""Graph and Horizon: what backpropagation through time keeps, the computation graph itself."""

import equinox as eqx

from tracegrad.model.parameter import count, setting


class Graph(eqx.Module):
    """Keeps the graph of a block, or of each window of it, instead of an influence: offline.

    `window=None` keeps the whole block; `window=K` cuts it before every K-th step, the first
    included, so that credit reaches 0 to K - 1 steps back.
    """

    window: int | None = eqx.field(
        static=True,
        default=None,
        converter=lambda steps: None if steps is None else count("window", steps),
    )

    def __check_init__(self):
        """Refuse a window without a step."""
        if self.window is not None:
            _at_least_one("window", self.window)


class Horizon(eqx.Module):
    """Keeps every path of at most `steps` steps, whatever block they lie in: online.

    The loss of every step reaches back over the last `steps` steps, its own included.
    """

    steps: int = setting(10)

    def __check_init__(self):
        """Refuse a horizon without a step."""
        _at_least_one("window", self.steps)


def _at_least_one(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name} must be at least 1 step, got {steps}. Use 1 for no memory.")
