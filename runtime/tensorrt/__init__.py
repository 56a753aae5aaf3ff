"""TensorRT: building a plan from a detector on the machine that will run it, vouching for it, and running it.

===============  =====================================================================
`library`        the one place that knows how TensorRT's versions differ
`cuda`           device memory, streams, events and graphs, through either CUDA binding
`builder`        an ONNX file's bytes become a plan's bytes
`sidecar`        what is kept beside a plan, and whether it vouches for it
`plans`          plan files: made, checked, opened, rebuilt
`engine`         a plan as an `Engine`
===============  =====================================================================

TensorRT itself is imported by `library.load` alone, and nothing here imports torch.
"""
