"""Records: every verdict of a station in one SQLite file, with pictures beside it, to be found by part for years."""
