"""Records of years, made in minutes."""
