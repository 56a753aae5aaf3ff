"""How many good parts a recalibration needs, with new statistics and without."""
