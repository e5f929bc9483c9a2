"""What a recurrent layer and its readout, all to all, ask of a platform; counted by hand."""

from tracegrad.substrate.demand import Demand, Population

PLAIN = ("pre_trace", "post_trace")


def dense(inputs: int, hidden: int, outputs: int, reads: tuple[str, ...] = PLAIN) -> Demand:
    into = inputs + hidden
    return Demand(
        inputs=inputs,
        neurons=hidden,
        outputs=outputs,
        synapses=hidden * into + outputs * hidden,
        fan_in=max(into, hidden),
        words={"weights": 1, "state": 1, "traces": 1, "signal": 0},
        reads=reads,
        not_local=(),
        populations=(
            Population(hidden, into, into, into, (0, 1)),
            Population(outputs, hidden, hidden, hidden),
        ),
        dt=1e-3,
    )
