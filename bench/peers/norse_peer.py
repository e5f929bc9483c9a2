"""Norse: LIFRecurrentCell and LILinearCell in a loop, gradient by autograd.

Its LIF integrates $v' = v + dt/\\tau (i - v)$, so weights are divided by $1-\\beta$ to drive it as
much.
"""

import norse.torch as norse
import torch
from norse.torch.functional.leaky_integrator import LIParameters
from torch import Tensor, nn
from torch.nn import functional as F
from worker import Step, Work, serve

DT = 1e-3


class Net(nn.Module):
    """A recurrent LIF layer and a leaky readout."""

    def __init__(self, work: Work, compiled: bool):
        """With the weights of the workload; its own connection has no weight to itself."""
        super().__init__()
        _, _, lines, hidden, outputs = work.sizes
        neuron = norse.LIFParameters(
            tau_syn_inv=torch.as_tensor((1 - work.alpha) / DT),
            tau_mem_inv=torch.as_tensor((1 - work.beta) / DT),
            v_th=torch.as_tensor(1.0),
            alpha=torch.as_tensor(work.slope),
        )
        leak = LIParameters(
            tau_syn_inv=torch.as_tensor(1 / DT),
            tau_mem_inv=torch.as_tensor((1 - work.kappa) / DT),
        )
        layer = norse.LIFRecurrentCell(lines, hidden, p=neuron)
        self.readout = norse.LILinearCell(hidden, outputs, p=leak)
        with torch.no_grad():
            layer.input_weights.copy_(torch.tensor(work.w_in.T) / (1 - work.beta))
            across = torch.tensor(work.w_rec.T) / (1 - work.beta)
            layer.recurrent_weights.copy_(across.fill_diagonal_(0))
            self.readout.input_weights.copy_(torch.tensor(work.w_out.T) / (1 - work.kappa))
        self.layer = torch.compile(layer, dynamic=False) if compiled else layer

    def forward(self, xs: Tensor) -> Tensor:
        """The readout at every step."""
        state = value = None
        seen = []
        for x in xs:
            spikes, state = self.layer(x, state)
            v, value = self.readout(spikes, value)
            seen.append(v)
        return torch.cat(seen)


def _training(work: Work, compiled: bool) -> Step:
    xs, classes = torch.from_numpy(work.xs), torch.from_numpy(work.classes).repeat(len(work.xs))
    net = Net(work, compiled)
    optimiser = torch.optim.Adam(net.parameters(), lr=work.learning_rate, fused=True)

    def step() -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(net(xs), classes)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def bptt(work: Work) -> Step:
    """Autograd through the loop."""
    return _training(work, compiled=False)


def compiled(work: Work) -> Step:
    """The same with the cell compiled."""
    return _training(work, compiled=True)


if __name__ == "__main__":
    serve({"BPTT": bptt, "BPTT, compiled cell": compiled})
