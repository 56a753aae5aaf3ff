"""Calibration: what turns descriptors into scores, and scores into decisions."""
