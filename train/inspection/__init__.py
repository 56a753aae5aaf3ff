"""A look over good images before anyone trains on them: what a folder holds that it should not.

One bad part among the good ones moves the threshold, and copies on both sides of the split make it look better proven
than it is. Nothing here is certain, and nothing stops a training: a suspect is an image for a person to look at.
"""

from train.inspection.inspector import Inspector, Report, Suspect

__all__ = ["Inspector", "Report", "Suspect"]
