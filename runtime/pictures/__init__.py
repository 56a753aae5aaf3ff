"""Image files, format by format: each read as its own standard says, and checked as far as it can be.

`runtime.images` is the door; README.md beside this file says what is read, and what no check can see.
"""
