"""How time and memory grow with the size of a frame, the students, the receptive fields and the batch."""
