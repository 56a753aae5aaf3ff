"""Training: teachers from natural photographs, students from good parts (PyTorch)."""

import runtime  # noqa: F401  # first: it switches telemetry off
