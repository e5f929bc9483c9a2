"""snnTorch: RSynaptic and Leaky in the loop of its documentation, gradient by autograd."""

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn import functional as F
from worker import Step, Work, serve


class Net(nn.Module):
    """Linear, recurrent current-based LIF, linear, leaky readout."""

    def __init__(self, work: Work):
        """With the weights of the workload; it has a recurrent bias, which stays at zero."""
        super().__init__()
        _, _, lines, hidden, outputs = work.sizes
        self.incoming = nn.Linear(lines, hidden, bias=False)
        self.neurons = snn.RSynaptic(
            alpha=work.alpha,
            beta=work.beta,
            linear_features=hidden,
            spike_grad=surrogate.fast_sigmoid(slope=work.slope),
            reset_mechanism="subtract",
        )
        self.outgoing = nn.Linear(hidden, outputs, bias=False)
        self.readout = snn.Leaky(beta=work.kappa, reset_mechanism="none")
        with torch.no_grad():
            self.incoming.weight.copy_(torch.tensor(work.w_in.T))
            self.neurons.recurrent.weight.copy_(torch.tensor(work.w_rec.T))
            self.neurons.recurrent.bias.zero_()
            self.outgoing.weight.copy_(torch.tensor(work.w_out.T))

    def forward(self, xs: Tensor) -> Tensor:
        """The readout at every step."""
        spikes, current, v = self.neurons.init_rsynaptic()
        value, seen = self.readout.init_leaky(), []
        for x in xs:
            spikes, current, v = self.neurons(self.incoming(x), spikes, current, v)
            _, value = self.readout(self.outgoing(spikes), value)
            seen.append(value)
        return torch.cat(seen)


def bptt(work: Work) -> Step:
    """Autograd through the loop."""
    xs, classes = torch.from_numpy(work.xs), torch.from_numpy(work.classes).repeat(len(work.xs))
    net = Net(work)
    optimiser = torch.optim.Adam(net.parameters(), lr=work.learning_rate, fused=True)

    def step() -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(net(xs), classes)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


if __name__ == "__main__":
    serve({"BPTT": bptt})
