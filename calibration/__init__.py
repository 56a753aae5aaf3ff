"""Calibration: what turns descriptors into scores, and scores into decisions."""

import runtime  # noqa: F401  # first: it switches telemetry off
