"""Digital inputs and outputs as a controller: an edge is a trigger, a pulse is a pass, and nobody acknowledges.

Each part's number counts the edges of the trigger, those that were lost too. Its result is acknowledged here at once. A
pass is a pulse at the gate's time; whatever else happens, there is none, and rest means reject. While the line is held
or paused, the pulses to come are taken back, as `RejectGate` does with what is on its belt.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runtime.errors import InputError, LineError, ProctorError
from runtime.line.bindings import Binding
from runtime.line.gpio_config import TRIGGER, GateOutput, GpioConfig, PulseOutput, read_config
from runtime.line.gpio_lines import Edge, InputLines, driver_of
from runtime.line.gpio_outputs import KeptOutputs
from runtime.line.handshake import BUFFER, Acquisition
from runtime.line.levels import Levels
from runtime.line.results import LARGEST_U32, UNINSPECTED, Part
from runtime.pauses import Pauses

log = logging.getLogger("proctor.gpio")

LOOK_S = 0.05  # between two looks at holds, ready, the heartbeat, the offline input and the outputs' process
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0  # between two tries to open a chip that is gone
CLOSE_S = 10.0
MOST_LOST = 1_000  # edges at once that are told one by one


class Outputs(Protocol):
    """What the binding needs of `KeptOutputs`; see there."""

    def pulse(
        self, name: str, due_s: float, length_s: float, latest_s: float | None, inspected: bool = True
    ) -> None: ...
    def rest(self, name: str, due_s: float) -> None: ...
    def take_back(self, name: str, uninspected: bool) -> None: ...
    def level(self, name: str, active: bool) -> None: ...
    def check(self) -> None: ...
    def close(self) -> None: ...


class DigitalIO(Binding):
    """Triggers by an input and gives passes by an output, until it is closed."""

    def __init__(
        self,
        levels: Levels,
        config: GpioConfig,
        open_inputs: Callable[[], InputLines],
        open_outputs: Callable[[], Outputs],
    ) -> None:
        """Raises `InputError` where the lines cannot be had now, or a pass could come after its part is at the gate."""
        self._handshake, self._config = levels.handshake, config
        self._open_inputs, self._open_outputs = open_inputs, open_outputs
        _check_deadline(config, self._handshake.deadline_s)
        self._part = 0  # the last one
        self._edges: OrderedDict[int, float] = OrderedDict()  # when the trigger came, by acquisition id
        self._shown: dict[str, bool] = {}  # levels that the outputs have
        self._beats = self._handshake.heartbeat
        self._outputs: Outputs | None = None
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._said = ""
        inputs = self._open()
        self._threads = [
            threading.Thread(target=self._watch, args=(inputs,), name="gpio inputs", daemon=True),
            threading.Thread(target=self._answer, name="gpio results", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Drive all outputs to their inactive level and give the lines up. Pulses to come are not given."""
        self._closing.set()
        for thread in self._threads:
            thread.join(CLOSE_S)
        self._drop()

    def _open(self) -> InputLines:
        inputs = self._open_inputs()
        try:
            outputs = self._open_outputs()
        except BaseException:
            inputs.close()
            raise
        with self._lock:
            self._outputs = outputs
            self._shown.clear()
        return inputs

    def _drop(self) -> None:
        """Give the outputs up. Parts under way get their results, and no pulse of another's time."""
        with self._lock:
            outputs, self._outputs = self._outputs, None
            self._edges.clear()
        if outputs is not None:
            outputs.close()

    # the inputs

    def _watch(self, inputs: InputLines | None) -> None:
        pauses = Pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._closing.is_set():
            try:
                inputs = inputs or self._open()
                self._said = ""
                pauses.reset()
                self._serve(inputs)
            except ProctorError as error:
                self._say(str(error))
            except Exception:  # a fault of ours, or a library's: no part passes by it, and the line goes on
                log.exception("the digital inputs and outputs broke down")
            if inputs is not None:
                inputs.close()
            inputs = None
            self._drop()
            if pauses.wait(self._closing):
                return

    def _serve(self, inputs: InputLines) -> None:
        """Take edges until they, or the outputs, are gone."""
        last = 0  # edge: they are counted from 1 since the inputs were opened
        while not self._closing.is_set():
            if self._config.offline is not None:
                self._handshake.set_offline(inputs.is_active("offline"))
            for edge in inputs.wait(LOOK_S):
                if edge.name == "offline":
                    self._handshake.set_offline(edge.active)
                    continue
                self._lost(edge.number - last - 1)
                last = edge.number
                self._triggered(edge)
            with self._lock:
                if self._outputs is None:
                    raise LineError("the outputs are gone")
                self._outputs.check()
        inputs.close()

    def _lost(self, edges: int) -> None:
        """Parts that passed while nobody read their edges: each has a number, and none passes."""
        for _ in range(min(edges, MOST_LOST)):
            self._handshake.refuse("its edge was lost: edges came faster than they were read", self._next_part())
        self._part = (self._part + max(0, edges - MOST_LOST)) & LARGEST_U32

    def _triggered(self, edge: Edge) -> None:
        part, late_s = self._next_part(), time.monotonic() - edge.at_s
        if late_s * 1e3 > self._config.trigger.late_ms:
            self._handshake.refuse(f"its edge was read {late_s * 1e3:.0f} ms late: the part has moved on", part)
            self._gate(False, edge.at_s)
            return
        with self._lock:  # a result may come at once
            answer = self._handshake.trigger(part)
            if isinstance(answer, Acquisition):
                self._edges[answer.acquisition_id] = edge.at_s
                while len(self._edges) > 2 * BUFFER:
                    self._edges.popitem(last=False)
        if not isinstance(answer, Acquisition):
            self._gate(False, edge.at_s)
            return
        strobe = self._config.outputs.get("strobe")
        if isinstance(strobe, PulseOutput):
            due_s = max(time.monotonic(), edge.at_s + strobe.delay_ms / 1e3)
            self._send(lambda outputs: outputs.pulse("strobe", due_s, strobe.pulse_ms / 1e3, None))

    def _next_part(self) -> Part:
        self._part = (self._part + 1) & LARGEST_U32
        return Part(self._part)

    # the results

    def _answer(self) -> None:
        while not self._closing.is_set():
            try:
                result = self._handshake.wait_for_result(LOOK_S)
                if result is not None:
                    with self._lock:
                        at_s = self._edges.pop(result.acquisition_id, None)
                    self._handshake.acknowledge(result.inspection_id)
                    if at_s is not None:  # else its edge came to a chip that is gone
                        self._gate(result.passes, at_s, inspected=result.mode not in UNINSPECTED)
                self._take_back()
                self._show()
            except Exception:
                log.exception("a result was not given; its part is rejected")

    def _gate(self, passes: bool, triggered_s: float, inspected: bool = True) -> None:
        """A part's place in the gate's time: a pulse, or none."""
        now_s = time.monotonic()
        for name, pulses in (("pass", passes), ("reject", not passes)):
            gate = self._config.gate(name)
            if gate is not None:
                due_s = (triggered_s if gate.after == TRIGGER else now_s) + gate.delay_ms / 1e3
                self._send(lambda outputs, *given: _at_gate(outputs, *given), name, gate, due_s, pulses, inspected)

    def _take_back(self) -> None:
        """While the line is held or paused, have no part pass that is on its way to the gate: by the rule of
        `RejectGate.take_back`, parts that nobody inspected still do while it is held.

        At each look, not when it changes: a hold may end and another begin between two looks.
        """
        is_paused = self._handshake.paused_by is not None
        if is_paused or self._handshake.is_held:
            self._send(lambda outputs: outputs.take_back("pass", is_paused))

    def _show(self) -> None:
        """Bring ready and the heartbeat up to date."""
        if "ready" in self._config.outputs:
            ready = self._handshake.view(sees=False).trigger_ready
            if self._shown.get("ready") is not ready:
                self._send(lambda outputs: outputs.level("ready", ready))
                self._shown["ready"] = ready
        beats = self._handshake.heartbeat
        if "heartbeat" in self._config.outputs and beats != self._beats:
            self._beats = beats
            level = not self._shown.get("heartbeat", False)
            self._send(lambda outputs: outputs.level("heartbeat", level))
            self._shown["heartbeat"] = level

    def _send(self, ask: Callable[..., None], *given: object) -> None:
        """Ask the outputs, where there are any. That they are gone is seen by `_serve`."""
        with self._lock:
            if self._outputs is None:
                return
            try:
                ask(self._outputs, *given)
            except LineError as error:
                self._say(str(error))
                outputs, self._outputs = self._outputs, None
                outputs.close()

    def _say(self, reason: str) -> None:
        if reason != self._said:
            log.error("%s; no part passes; opening it again until it is there", reason)
        self._said = reason


def _at_gate(outputs: Outputs, name: str, gate: GateOutput, due_s: float, pulses: bool, inspected: bool) -> None:
    if pulses:
        outputs.pulse(name, due_s, gate.pulse_ms / 1e3, due_s + gate.latest_s, inspected)
    else:
        outputs.rest(name, due_s)


def _check_deadline(config: GpioConfig, deadline_s: float) -> None:
    """Raise `InputError` where a pass that is in time could come too late for its pulse."""
    gate = config.gate("pass")
    if gate is not None and gate.after == TRIGGER and deadline_s > gate.delay_ms / 1e3 + gate.latest_s:
        raise InputError(
            f"{config.path}: the pulse of pass is due {gate.delay_ms:g} ms after the trigger, and the deadline is "
            f"{deadline_s * 1e3:g} ms; give --deadline-ms {gate.delay_ms:g} or less, or a gate further away"
        )


def open_binding(levels: Levels, asked: str) -> DigitalIO:
    """A configuration's path. Raises `InputError`."""
    config = read_config(Path(asked))
    driver = driver_of(config)
    return DigitalIO(levels, config, lambda: driver.open_inputs(config), lambda: KeptOutputs(config))
