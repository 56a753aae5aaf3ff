"""A line and a webhook: verdicts and refusals are posted to it."""

from runtime.line.bindings import Binding
from runtime.line.levels import Levels
from runtime.line.reporter import Reporter
from runtime.publishing.documents import Writer
from runtime.publishing.webhook import WebhookOptions, WebhookPublisher, webhook_options


class WebhookBinding(Binding):
    """Posts until it is closed. It only observes."""

    controls = False

    def __init__(self, levels: Levels, options: WebhookOptions) -> None:
        self.place = options.netloc
        writer = Writer(options.place, levels.handshake.session_id)
        self.publisher = WebhookPublisher(options, writer)
        levels.handshake.listen(Reporter(writer, self.publisher.add))

    def close(self) -> None:
        """See `WebhookPublisher.close`."""
        self.publisher.close()


def open_webhook(levels: Levels, asked: str) -> WebhookBinding:
    """``URL#key_file=FILE&site=…&line=…&station=…&…``. Raises `InputError` for what cannot be used."""
    return WebhookBinding(levels, webhook_options(asked))
