"""A stream and an MQTT broker: verdicts and status."""

from runtime.errors import InputError
from runtime.line.handshake import new_session_id
from runtime.publishing.documents import Writer
from runtime.publishing.mqtt import MqttPublisher
from runtime.publishing.mqtt_options import mqtt_options
from runtime.sinks.published import PublishedSink


def open_mqtt(asked: str) -> PublishedSink:
    """``HOST:PORT?site=…&line=…&station=…&…``. Raises `InputError` for what cannot be used."""
    options = mqtt_options(asked)
    if options.commands:
        raise InputError("--mqtt has commands=yes; a stream takes none, python -m runtime.line does")
    writer = Writer(options.place, new_session_id())
    return PublishedSink("messages to the MQTT broker", writer, MqttPublisher(options, writer))
