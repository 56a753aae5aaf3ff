"""Latency and throughput of detectors, in every engine at hand, beside what this machine can do at most."""
