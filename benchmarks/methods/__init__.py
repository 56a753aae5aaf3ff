"""Compared methods: each a small module with its options and `make`; `registry` has a line for each."""
