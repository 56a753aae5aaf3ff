"""Training: teachers from natural photographs, students from good parts (PyTorch)."""
