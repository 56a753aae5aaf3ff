"""A camera's clock by this machine's: between which two moments something happened that the camera has a time stamp of.

Neither clock is set by the other, so only their offset is looked for. A picture that is certainly of one trigger bounds
it from both sides: its exposure did not begin before the trigger was sent, and not after the picture had arrived. Each
such picture may narrow the interval; between two it widens by what two quartz clocks can drift apart.
"""

DRIFT = 200e-6  # seconds a second; quartz clocks of cameras and computers are within 100 ppm each


class CameraClock:
    """The offset of this machine's monotonic clock over a camera's, as an interval; unknown at first."""

    def __init__(self) -> None:
        self._low_s = self._high_s = 0.0
        self._set_s: float | None = None  # monotonic clock, when the interval was narrowed last

    def happened(self, camera_ns: int, now_s: float) -> tuple[float, float] | None:
        """The earliest and latest moment of a time stamp, on this machine's monotonic clock; None while unknown."""
        if self._set_s is None:
            return None
        drift_s, camera_s = DRIFT * max(0.0, now_s - self._set_s), camera_ns / 1e9
        return camera_s + self._low_s - drift_s, camera_s + self._high_s + drift_s

    def learn(self, camera_ns: int, not_before_s: float, not_after_s: float, now_s: float) -> None:
        """A time stamp is known to lie between two moments. Where that contradicts what was known, the old is wrong."""
        camera_s, known = camera_ns / 1e9, self.happened(camera_ns, now_s)
        if known is not None and known[0] <= not_after_s and known[1] >= not_before_s:
            not_before_s, not_after_s = max(not_before_s, known[0]), min(not_after_s, known[1])
        self._low_s, self._high_s, self._set_s = not_before_s - camera_s, not_after_s - camera_s, now_s
