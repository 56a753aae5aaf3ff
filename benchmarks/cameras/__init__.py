"""Cameras: what a driver in a process of its own costs, and how it stands being killed."""
