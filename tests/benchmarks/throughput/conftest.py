"""Limits that are measured on small matrices."""

import pytest

from benchmarks.throughput import limits


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices of 64×64 and copies of a MiB: the real probes, in no time."""
    monkeypatch.setattr(limits, "SMALLEST", 64)
    monkeypatch.setattr(limits, "LONG_ENOUGH_S", 0.0)
    monkeypatch.setattr(limits, "COPY_BYTES", 1 << 20)
