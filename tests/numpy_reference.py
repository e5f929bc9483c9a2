"""Online learning written from the equations in NumPy: loops over steps, nothing of the library.

One recurrent layer of current-based LIF neurons (theory: the boxed equations), a leaky readout,
squared error, plain SGD after every step. `strict` keeps the bracketed terms.
"""

from typing import NamedTuple

import numpy as np


class Setting(NamedTuple):
    alpha: float
    beta: float
    kappa: float
    theta: float
    slope: float
    rate: float
    strict: bool


def psi(u, theta, slope):
    return 1.0 / (slope * abs(u / theta - 1.0) + 1.0) ** 2 / theta


def learn(setting, w, v, w_out, xs, ys):
    """Losses of every step, and the weights at the end."""
    a, b, k, theta, slope, rate, strict = setting
    w, v, w_out = w.copy(), v.copy(), w_out.copy()
    n, m, o = w.shape[0], w.shape[1], w_out.shape[0]
    current, u, z, y = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(o)
    z_filtered, losses, spikes = np.zeros(n), [], 0.0
    eps = {"w": np.zeros((3, n, m)), "v": np.zeros((3, n, n))}  # traces of I, U, S
    bar = {"w": np.zeros((n, m)), "v": np.zeros((n, n))}
    for x, target in zip(xs, ys, strict=True):
        pre = {"w": x, "v": z.copy()}
        drive = w @ x + v @ z
        u = b * u + (1 - b) * (a * current + drive) - theta * z
        current = a * current + drive
        z = (u > theta).astype(float)
        slope_now = psi(u, theta, slope)
        for name in ("w", "v"):
            e_i, e_u, e_s = eps[name]
            new_i = a * e_i + np.outer(np.ones(n), pre[name])
            if strict:
                new_i += np.diag(v)[:, None] * e_s
            new_u = b * e_u + (1 - b) * new_i
            if strict:
                new_u -= theta * e_s
            eps[name] = np.stack([new_i, new_u, slope_now[:, None] * new_u])
            bar[name] = k * bar[name] + (1 - k) * eps[name][2]
        y = k * y + (1 - k) * (w_out @ z)
        z_filtered = k * z_filtered + (1 - k) * z
        error = y - target
        signal = w_out.T @ error
        losses.append(0.5 * np.sum(error**2))
        spikes += z.sum()
        w -= rate * signal[:, None] * bar["w"]
        v -= rate * signal[:, None] * bar["v"]
        w_out -= rate * np.outer(error, z_filtered)
    return np.array(losses), w, v, w_out, spikes / (n * len(xs))
