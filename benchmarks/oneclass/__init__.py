"""One class of small images against all others: the paper's Table 2."""
