"""A rendered production line to try Proctor on: machined parts on a belt, some of them defective, with ground truth.

The parts are drawn, not photographed: they need no download, and the truth of every pixel is known. `DemoLine` delivers
them one by one; ``python -m runtime.demo`` writes them as an image set.
"""

from runtime.demo.line import DemoLine, DemoPart

__all__ = ["DemoLine", "DemoPart"]
