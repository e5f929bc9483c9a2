"""Native: a neuron's equations as C, compiled on the user's machine and called from XLA."""
