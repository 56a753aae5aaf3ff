"""How accurate a detector is on a test set: its figures, the report and the pictures."""
