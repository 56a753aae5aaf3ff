"""An S7 controller in a process of its own: snap7's server is its memory, and a program there runs the handshake.

``python s7_controller.py PORT DB FIRST LAST`` triggers the parts FIRST to LAST and prints a line of JSON for each.
Its places are literals, read off the printed data block, and its values are read by snap7's own functions: a program of
a controller has its addresses in it, and shares no code with the runtime.
"""

import json
import sys
import time
from collections.abc import Callable

from snap7.server import Server
from snap7.type import SrvArea
from snap7.util import get_bool, get_dword, get_real, get_string, get_word, set_bool, set_dword, set_string

SIZE = 380
SCAN_S = 0.001
PATIENCE_S = 60.0

# to the runtime
TRIGGER_ENABLE, TRIGGER, RESULTS_ACKNOWLEDGE = (0, 0), (0, 1), (0, 2)
PART_ID, SERIAL, ORDER = 2, 14, 48
# from the runtime
TRIGGER_READY, TRIGGER_ACKNOWLEDGE = (202, 1), (202, 2)
RESULTS_VALID, JOB_PASS = (202, 6), (202, 7)
HEARTBEAT, SESSION_ID, MISSED = 208, 210, 218
RESULT_CODE, RESULT_CAUSE, INSPECTION_ID = 234, 236, 240
RESULT_PART_ID, SCORE, RESULT_SERIAL, RESULT_ORDER = 248, 252, 264, 298


class Program:
    """The controller's program over its data block."""

    def __init__(self, memory: bytearray) -> None:
        self.memory = memory
        set_bool(memory, *TRIGGER_ENABLE, True)

    def bit(self, place: tuple[int, int]) -> bool:
        return get_bool(self.memory, *place)

    def until(self, what: Callable[[], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > until_s:
                raise SystemExit(f"waited in vain; status {self.memory[202:204].hex()}")
            time.sleep(SCAN_S)

    def part(self, number: int) -> dict[str, object]:
        """One part through the handshake; what came of it."""
        memory = self.memory
        self.until(lambda: self.bit(TRIGGER_READY) and not self.bit(TRIGGER_ACKNOWLEDGE))
        missed_before = get_dword(memory, MISSED)
        set_dword(memory, PART_ID, number)
        set_string(memory, SERIAL, f"A-{number}", 32)
        set_string(memory, ORDER, "batch 7", 32)
        set_bool(memory, *TRIGGER, True)
        self.until(lambda: self.bit(TRIGGER_ACKNOWLEDGE) or get_dword(memory, MISSED) != missed_before)
        missed = not self.bit(TRIGGER_ACKNOWLEDGE)
        set_bool(memory, *TRIGGER, False)
        if missed:
            return {"part": number, "missed": True}
        self.until(lambda: self.bit(RESULTS_VALID))
        found = {
            "part": get_dword(memory, RESULT_PART_ID),
            "code": get_word(memory, RESULT_CODE),
            "cause": get_word(memory, RESULT_CAUSE),
            "inspection": get_dword(memory, INSPECTION_ID),
            "pass": self.bit(JOB_PASS),
            "score": get_real(memory, SCORE),
            "serial": get_string(memory, RESULT_SERIAL),
            "order": get_string(memory, RESULT_ORDER),
            "session": get_dword(memory, SESSION_ID),
        }
        set_bool(memory, *RESULTS_ACKNOWLEDGE, True)
        self.until(lambda: not self.bit(RESULTS_VALID))
        set_bool(memory, *RESULTS_ACKNOWLEDGE, False)
        return found


def main() -> None:
    port, db, first, last = map(int, sys.argv[1:])
    memory = bytearray(SIZE)
    server = Server(log=False)
    server.register_area(SrvArea.DB, db, memory)
    server.start(port)
    program = Program(server.memory_areas[next(iter(server.memory_areas))])
    for number in range(first, last + 1):
        print(json.dumps(program.part(number)), flush=True)
    print(json.dumps({"heartbeat": get_word(program.memory, HEARTBEAT)}), flush=True)
    sys.stdin.read()  # until nobody needs the memory any more


if __name__ == "__main__":
    main()
