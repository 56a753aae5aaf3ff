"""Benchmarks: every figure in the README comes from a command here."""

from runtime.private import hide_reporters

hide_reporters()
