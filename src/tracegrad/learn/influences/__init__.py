"""Influences: what a rule carries of dh/dw, one a file; the contract is `learn.influence`."""
