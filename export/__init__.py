"""Export: one fused ONNX graph, checked against the plain formulas."""
