"""Whether thresholds keep what they promise, by simulation, and what rules for few images reject."""
