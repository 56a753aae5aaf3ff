"""What tests wait for, and a port for what they wait on: those of the benchmarks."""

from benchmarks.line.processes import free_port, until

__all__ = ["free_port", "until"]
