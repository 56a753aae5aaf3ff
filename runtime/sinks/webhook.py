"""A stream and a webhook: verdicts are posted to it."""

from runtime.line.handshake import new_session_id
from runtime.publishing.documents import Writer
from runtime.publishing.webhook import WebhookPublisher, webhook_options
from runtime.sinks.published import PublishedSink


def open_webhook(asked: str) -> PublishedSink:
    """``URL#key_file=FILE&site=…&line=…&station=…&…``. Raises `InputError` for what cannot be used."""
    options = webhook_options(asked)
    writer = Writer(options.place, new_session_id())
    return PublishedSink("messages to the webhook", writer, WebhookPublisher(options, writer))
