"""A station: several cameras in one process, each a stream of its own, and one verdict for a part that several see."""
