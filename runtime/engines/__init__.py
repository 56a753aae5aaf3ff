"""Inference engines: what computes anomaly maps. ONNX Runtime on any machine; a fake one for tests."""

from runtime.engines.base import Engine, Output

__all__ = ["Engine", "Output"]
