"""Learning: local derivatives, influence, filter, signal, loss, and the rules they compose."""
