"""Run networks in xylosim: read JSON from a file, write its currents, potentials and spikes.

Runs in the environment of its own that has xylosim. The synapse lists are kept in variables: the
simulator keeps references to them.
"""

import json
import sys

from xylosim.v2 import XyloLayer, XyloSynapse


def simulate(net):
    n, m = len(net["threshold"]), len(net["events"][0])
    shift_in, shift_rec = net["shifts"]

    def synapses(matrix, lines, shift):
        return [[XyloSynapse(j, 0, matrix[j][i] >> shift) for j in range(n)] for i in range(lines)]

    inputs = synapses(net["weight"], m, shift_in)
    recurrent = synapses(net["recurrent"], n, shift_rec)
    outputs = [[] for _ in range(n)]
    layer = XyloLayer(
        synapses_in=inputs, synapses_rec=recurrent, synapses_out=outputs,
        aliases=[[] for _ in range(n)], threshold=net["threshold"], threshold_out=[],
        has_bias=False, bias=[0] * n, bias_out=[], weight_shift_inp=shift_in,
        weight_shift_rec=shift_rec, weight_shift_out=0, dash_mem=net["shift_mem"],
        dash_mem_out=[], dash_syns=[[d] for d in net["shift_syn"]], dash_syns_out=[], name="net",
    )  # fmt: skip
    layer.evolve(net["events"])
    by_time = [list(layer.rec_i_syn), list(layer.rec_v_mem), list(layer.rec_recurrent_spikes)]
    return [[list(row) for row in part] for part in by_time]


with open(sys.argv[1]) as given:
    nets = json.load(given)
with open(sys.argv[2], "w") as answer:
    json.dump([simulate(net) for net in nets], answer)
