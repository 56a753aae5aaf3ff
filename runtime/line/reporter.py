"""Results and refusals of a line as the documents that are published."""

from collections import OrderedDict
from collections.abc import Callable

from runtime.line.handshake import BUFFER, Refusal
from runtime.line.results import Mode, Result
from runtime.publishing.documents import Queued, Writer


class Reporter:
    """A `Listener` of the handshake that hands documents on, to whom it does not wait for."""

    def __init__(self, writer: Writer, send: Callable[[Queued], None]) -> None:
        self.last_refusal: Refusal | None = None
        self._writer, self._send = writer, send
        self._revisions: OrderedDict[int, int] = OrderedDict()  # by inspection id: how often its verdict was taken back

    def given(self, result: Result) -> None:
        """See `Listener`."""
        revision = self._revisions.get(result.inspection_id, -1) + 1
        if result.mode is not Mode.DRY_RUN:  # nobody takes those back, and they would push out what waits
            self._revisions[result.inspection_id] = revision
        while len(self._revisions) > 2 * BUFFER:  # older ones were acknowledged, and do not change
            self._revisions.popitem(last=False)
        self._send(self._writer.result(result, revision))

    def missed(self, refusal: Refusal) -> None:
        """See `Listener`."""
        self.last_refusal = refusal
        self._send(self._writer.refusal(refusal))

    def verdict_id(self, inspection_id: int) -> str:
        """Of the last verdict on an inspection, as it was published."""
        return self._writer.verdict_id(inspection_id, self._revisions.get(inspection_id, 0))
