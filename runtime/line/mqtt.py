"""A line and an MQTT broker: verdicts, refusals, status and registers to it, and with ``commands=yes`` commands from
it."""

import math
from typing import Any

from runtime.line.bindings import Binding
from runtime.line.commander import Commander
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, values_of
from runtime.line.reporter import Reporter
from runtime.publishing.documents import Document, Writer
from runtime.publishing.messages import REGISTERS
from runtime.publishing.mqtt import MqttPublisher
from runtime.publishing.mqtt_options import MqttOptions, mqtt_options


class MqttBinding(Binding):
    """Publishes until it is closed, and controls the line where commands are asked for."""

    def __init__(self, levels: Levels, options: MqttOptions) -> None:
        self.controls = options.commands
        self._levels = levels
        self._writer = Writer(options.place, levels.handshake.session_id)
        self._reporter = Reporter(self._writer, lambda document: self.publisher.add(document))
        self._commander = (
            Commander(levels, self._writer, self._reporter, options.command_age_ms) if options.commands else None
        )
        answer = None if self._commander is None else self._answer
        self.publisher = MqttPublisher(options, self._writer, self._registers, answer)
        levels.handshake.listen(self._reporter)

    def close(self) -> None:
        """See `MqttPublisher.close`."""
        self.publisher.close()

    def _answer(self, data: bytes, retained: bool) -> Document | None:
        assert self._commander is not None
        answer = self._commander.answer(data, retained)
        self.publisher.refresh()
        return answer

    def _registers(self) -> Document:
        """As they are now. Where commands control the line, their result is seen: whoever commands is shown it."""
        if self._commander is not None:
            for answer in self._commander.late_answers():
                self.publisher.reply(answer)
        values = values_of(FROM_RUNTIME, self._levels.read(sees=self._commander is not None))
        verdict = self._reporter.verdict_id(values["inspection_id"]) if values["results_valid"] else None
        values = {name: _finite(value) for name, value in values.items()}
        return self._writer.head(REGISTERS) | {"verdict": verdict, "registers": values}


def _finite(value: Any) -> Any:
    """A register's value; JSON has no other numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_mqtt(levels: Levels, asked: str) -> MqttBinding:
    """``HOST:PORT?site=…&line=…&station=…&…``. Raises `InputError` for what cannot be used."""
    return MqttBinding(levels, mqtt_options(asked))
