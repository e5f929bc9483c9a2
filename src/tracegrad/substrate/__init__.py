"""Substrates: the numbers, limits and flaws of hardware, and learning under them."""
