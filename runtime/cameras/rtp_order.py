"""RTP packets in the order of their numbers, each once: UDP loses, repeats and overtakes (RFC 3550, 5.1)."""

from runtime.errors import SourceError

WAIT_S = 0.1  # for a packet that others overtook
MOST_WAITING = 512  # packets; as many as FFmpeg's own queue
MOST_OLD = 100  # packets in a row that are older than what was delivered: the camera began to count anew
HEADER_BYTES = 12


class RtpOrder:
    """Orders the packets of one stream. A gap in what it hands out is a packet that did not come in time."""

    def __init__(self) -> None:
        self.lost = 0  # packets that never came, or too late
        self._expected: int | None = None  # the number of the next packet, 16 bits
        self._source: bytes | None = None  # SSRC
        self._waiting: dict[int, tuple[bytes, float]] = {}  # by number: the packet and when it came
        self._old = 0

    def add(self, packet: bytes, now_s: float) -> list[bytes]:
        """Take a packet that arrived; those that are next in order now.

        What is no RTP packet is left out. Raises `SourceError` for a stream that begins anew, whose pictures nobody
        could tell from those of before.
        """
        if len(packet) < HEADER_BYTES or packet[0] >> 6 != 2:
            return self.due(now_s)
        number = int.from_bytes(packet[2:4], "big")
        if self._expected is None:
            self._expected, self._source = number, packet[8:12]
        if packet[8:12] != self._source:
            raise SourceError("it began another stream")
        ahead = number - self._expected & 0xFFFF
        if ahead < 1 << 15:
            self._waiting.setdefault(number, (packet, now_s))
            self._old = 0
        else:  # one that is repeated or was given up
            self._old += 1
            if self._old >= MOST_OLD:
                raise SourceError("it began to count its packets anew")
        return self.due(now_s)

    def due(self, now_s: float) -> list[bytes]:
        """Those that are next in order by now."""
        found = self._in_order()
        while self._waiting and (
            len(self._waiting) > MOST_WAITING or now_s - min(came_s for _, came_s in self._waiting.values()) >= WAIT_S
        ):
            self._skip()
            found += self._in_order()
        return found

    @property
    def waits(self) -> bool:
        """Whether packets wait for one that they overtook."""
        return bool(self._waiting)

    def _in_order(self) -> list[bytes]:
        found = []
        while self._expected is not None and self._expected in self._waiting:
            found.append(self._waiting.pop(self._expected)[0])
            self._expected = self._expected + 1 & 0xFFFF
        return found

    def _skip(self) -> None:
        """Give up what is missing before the first packet that is there."""
        expected = self._expected or 0
        step = min(number - expected & 0xFFFF for number in self._waiting)
        self.lost += step
        self._expected = expected + step & 0xFFFF
