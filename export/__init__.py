"""Export: one fused ONNX graph, checked against the plain formulas."""

import runtime  # noqa: F401  # first: it switches telemetry off
