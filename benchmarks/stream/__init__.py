"""What the stream costs: start-up, imports, time beside the inference, memory over a long run."""
