"""What each preset of training detects, and what it costs."""
