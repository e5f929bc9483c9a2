"""SpikingJelly: its recurrent container and LIFNode in multi-step mode, gradient by autograd."""

import torch
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn import functional as F
from worker import Step, Work, serve


class CurrentFilter(base.MemoryModule):
    """A decaying synaptic current: LIFNode has none."""

    def __init__(self, decay: float):
        """The share kept from step to step."""
        super().__init__()
        self.decay = decay
        self.register_memory("i", 0.0)

    def single_step_forward(self, x: Tensor) -> Tensor:
        """One step."""
        self.i = self.decay * self.i + x
        return self.i


def _net(work: Work) -> nn.Sequential:
    _, _, lines, hidden, outputs = work.sizes
    node = neuron.LIFNode(
        tau=1 / (1 - work.beta),
        decay_input=False,
        v_threshold=1.0,
        v_reset=None,
        surrogate_function=surrogate.SuperSpike(alpha=1.0),
        detach_reset=True,
    )
    cell = nn.Sequential(CurrentFilter(work.alpha), node)
    recurrent = layer.LinearRecurrentContainer(cell, hidden, hidden, bias=False)
    readout = neuron.NonSpikingLIFNode(tau=1 / (1 - work.kappa))
    net = nn.Sequential(
        layer.Linear(lines, hidden, bias=False),
        recurrent,
        layer.Linear(hidden, outputs, bias=False),
        readout,
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(work.w_in.T))
        recurrent.rc.weight.copy_(torch.cat([torch.eye(hidden), torch.tensor(work.w_rec.T)], 1))
        net[2].weight.copy_(torch.tensor(work.w_out.T) / (1 - work.kappa))
    functional.set_step_mode(net, "m")
    return net


def bptt(work: Work) -> Step:
    """Autograd through the whole sequence."""
    xs, classes = torch.from_numpy(work.xs), torch.from_numpy(work.classes).repeat(len(work.xs))
    net, outputs = _net(work), work.sizes[-1]
    optimiser = torch.optim.Adam(net.parameters(), lr=work.learning_rate, fused=True)

    def step() -> float:
        optimiser.zero_grad()
        seen = net(xs)
        seen = seen if isinstance(seen, Tensor) else torch.stack(seen)
        loss = F.cross_entropy(seen.reshape(-1, outputs), classes)
        loss.backward()
        optimiser.step()
        functional.reset_net(net)
        return float(loss.detach())

    return step


if __name__ == "__main__":
    serve({"BPTT": bptt})
