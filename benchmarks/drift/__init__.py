"""The drift watch and recalibration: false alarms, how soon a fading lamp is noticed, and what helps then."""
