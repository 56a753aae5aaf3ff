"""What frame health notices, and what it refuses wrongly: blur, frames without a part, still pictures."""
