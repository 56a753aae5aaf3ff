"""Sealed recipes of a station: which detector runs, who put it there, when and why; and the way back."""
