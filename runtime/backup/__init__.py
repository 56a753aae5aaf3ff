"""A station's state in one file: recipes, records, descriptions and detectors; and its way back."""
