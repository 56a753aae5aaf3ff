"""Methods compared on test sets: the paper's Tables 1 and 3."""
