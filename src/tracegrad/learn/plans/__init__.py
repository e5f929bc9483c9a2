"""Plans: the orders in which the same gradient can be computed."""
