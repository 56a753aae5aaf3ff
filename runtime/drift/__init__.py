"""The drift watch: whether good parts still look as they did when the detector was calibrated; see README.md."""

from runtime.drift.watch import DriftState, DriftWatch, Trend

__all__ = ["DriftState", "DriftWatch", "Trend"]
