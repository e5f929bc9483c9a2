"""Export: a trained network and its learning rule as a small C library for a device."""
