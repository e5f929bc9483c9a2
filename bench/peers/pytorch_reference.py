"""PyTorch by hand: BPTT by autograd, eager and compiled, BPTT as an expert, naive e-prop."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from worker import Step, Work, serve


class Spike(torch.autograd.Function):
    """A step forward, SuperSpike backward; v is relative to the threshold."""

    slope = 25.0

    @staticmethod
    def forward(ctx, v: Tensor) -> Tensor:
        """1 above the threshold."""
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """(1 + slope |v|)^-2."""
        (v,) = ctx.saved_tensors
        return gradient / (1 + Spike.slope * v.abs()) ** 2


def _given(work: Work) -> tuple[Tensor, Tensor, list[Tensor]]:
    weights = [torch.tensor(w, requires_grad=True) for w in (work.w_in, work.w_rec, work.w_out)]
    return torch.from_numpy(work.xs), torch.from_numpy(work.classes), weights


def _cell(work: Work) -> Callable[..., tuple[Tensor, ...]]:
    def cell(current: Tensor, i: Tensor, v: Tensor, z: Tensor, w_rec: Tensor) -> tuple:
        i = work.alpha * i + torch.addmm(current, z, w_rec)
        v = work.beta * v + i - z.detach()
        return i, v, Spike.apply(v - 1.0)

    return cell


def _autograd(work: Work, cell: Callable[..., tuple[Tensor, ...]]) -> Step:
    """The input currents as one product, the readout as another, a loop over time between."""
    xs, classes, weights = _given(work)
    optimiser = torch.optim.Adam(weights, lr=work.learning_rate, fused=True)
    steps, batch, lines, hidden, outputs = work.sizes

    def step() -> float:
        w_in, w_rec, w_out = weights
        currents = (xs.reshape(-1, lines) @ w_in).reshape(steps, batch, hidden).unbind(0)
        i = v = z = torch.zeros(batch, hidden)
        spikes = []
        for current in currents:
            i, v, z = cell(current, i, v, z, w_rec)
            spikes.append(z)
        driven = (torch.cat(spikes) @ w_out).reshape(steps, batch, outputs).unbind(0)
        readout, seen = torch.zeros(batch, outputs), []
        for drive in driven:
            readout = work.kappa * readout + drive
            seen.append(readout)
        loss = F.cross_entropy(torch.cat(seen), classes.repeat(steps))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def eager(work: Work) -> Step:
    """Autograd through a loop in Python."""
    return _autograd(work, _cell(work))


def compiled(work: Work) -> Step:
    """The same with the cell compiled; compiling the unrolled loop takes about a minute at W1."""
    return _autograd(work, torch.compile(_cell(work), dynamic=False))


@torch.no_grad()
def _forward(work: Work, xs: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Membranes (T, B, n) and spikes (T + 1, B, n), the first of them none."""
    steps, batch, lines, hidden, _ = work.sizes
    w_in, w_rec, _ = weights
    currents = (xs.reshape(-1, lines) @ w_in).reshape(steps, batch, hidden)
    vs, zs = torch.empty(steps, batch, hidden), torch.zeros(steps + 1, batch, hidden)
    i, v = torch.zeros(batch, hidden), torch.zeros(batch, hidden)
    for t in range(steps):
        i.mul_(work.alpha).add_(currents[t]).addmm_(zs[t], w_rec)
        v.mul_(work.beta).add_(i).sub_(zs[t])
        vs[t].copy_(v)
        torch.gt(v, 1.0, out=zs[t + 1])
    return vs, zs


@torch.no_grad()
def _asked(work: Work, readout: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its derivative by what drives the readout, (T, B, o)."""
    steps, batch = readout.shape[:2]
    logs = torch.log_softmax(readout, -1)
    target = classes.view(1, batch, 1).expand(steps, batch, 1)
    loss = -logs.gather(-1, target).mean()
    asked = logs.exp_()
    asked.scatter_add_(-1, target, torch.full((steps, batch, 1), -1.0)).div_(steps * batch)
    for t in range(steps - 2, -1, -1):
        asked[t].add_(asked[t + 1], alpha=work.kappa)
    return loss, asked


@torch.no_grad()
def _gradient(work: Work, xs: Tensor, classes: Tensor, weights: list[Tensor]) -> Tensor:
    """BPTT with the reverse loop written out and weight gradients as products after it."""
    steps, batch, lines, hidden, outputs = work.sizes
    vs, zs = _forward(work, xs, weights)
    w_in, w_rec, w_out = weights
    readout = (zs[1:].reshape(-1, hidden) @ w_out).reshape(steps, batch, outputs)
    for t in range(1, steps):
        readout[t].add_(readout[t - 1], alpha=work.kappa)
    loss, asked = _asked(work, readout, classes)
    signal = (asked.reshape(-1, outputs) @ w_out.T).reshape(steps, batch, hidden)
    slope = (1 + work.slope * (vs - 1.0).abs_()).pow_(-2)
    d_currents = torch.empty(steps, batch, hidden)
    d_v, d_i, back = torch.zeros(batch, hidden), torch.zeros(batch, hidden), w_rec.T.contiguous()
    for t in range(steps - 1, -1, -1):
        here = signal[t].addmm_(d_i, back) if t < steps - 1 else signal[t]
        d_v.mul_(work.beta).addcmul_(here, slope[t])
        d_i.mul_(work.alpha).add_(d_v)
        d_currents[t].copy_(d_i)
    flat = d_currents.reshape(-1, hidden)
    w_in.grad = xs.reshape(-1, lines).T @ flat
    w_rec.grad = zs[:-1].reshape(-1, hidden).T @ flat
    w_out.grad = zs[1:].reshape(-1, hidden).T @ asked.reshape(-1, outputs)
    return loss


def expert(work: Work) -> Step:
    """BPTT without autograd, as `expert BPTT` in JAX."""
    xs, classes, weights = _given(work)
    optimiser = torch.optim.Adam(weights, lr=work.learning_rate, fused=True)

    def step() -> float:
        loss = _gradient(work, xs, classes, weights)
        optimiser.step()
        return float(loss)

    return step


def online(work: Work) -> Step:
    """e-prop with a trace for every synapse and sample, and an update at every step."""
    xs, classes, weights = _given(work)
    optimiser = torch.optim.Adam(weights, lr=work.learning_rate, fused=True)
    steps, batch, lines, hidden, outputs = work.sizes
    target = F.one_hot(classes, outputs).float()
    w_in, w_rec, w_out = weights

    @torch.no_grad()
    def step() -> float:
        i, v, z, out = (torch.zeros(batch, hidden) for _ in range(4))
        readout, total = torch.zeros(batch, outputs), 0.0
        pre_i, pre_v = torch.zeros(batch, lines + hidden), torch.zeros(batch, lines + hidden)
        eligible = torch.zeros(batch, lines + hidden, hidden)
        for x in xs:
            pre_i.mul_(work.alpha).add_(torch.cat([x, z], -1))
            pre_v.mul_(work.beta).add_(pre_i)
            i.mul_(work.alpha).addmm_(x, w_in).addmm_(z, w_rec)
            v.mul_(work.beta).add_(i).sub_(z)
            z = (v > 1.0).float()
            readout.mul_(work.kappa).addmm_(z, w_out)
            out.mul_(work.kappa).add_(z)
            psi = (1 + work.slope * (v - 1.0).abs()).pow(-2)
            eligible.mul_(work.kappa).addcmul_(pre_v[:, :, None], psi[:, None, :])
            error = (torch.softmax(readout, -1) - target) / batch
            inner = torch.einsum("bpn,bn->pn", eligible, error @ w_out.T)
            w_in.grad, w_rec.grad, w_out.grad = inner[:lines], inner[lines:], out.T @ error
            total += float(F.cross_entropy(readout, classes))
            optimiser.step()
        return total / steps

    return step


if __name__ == "__main__":
    serve({
        "BPTT, eager": eager,
        "BPTT, compiled cell": compiled,
        "expert BPTT, eager": expert,
        "naive e-prop, Adam every step": online,
    })  # fmt: skip
