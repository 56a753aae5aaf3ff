"""What tests wait for, and a port for what they wait on: those of the benchmarks."""

from benchmarks.line.waiting import PATIENCE_S, free_port, until

__all__ = ["PATIENCE_S", "free_port", "until"]
