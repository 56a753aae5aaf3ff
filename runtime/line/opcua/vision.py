"""What the line looks like by the names of the companion specification for machine vision, OPC 40100-1.

States and the last result alone, under this project's namespace: see the README for what is not there.
"""

import json
import time
from typing import Any

from runtime.line.handshake import State
from runtime.line.results import Cause, Code, Mode, Result

SYSTEM = "VisionSystem"
MACHINE = f"{SYSTEM}.VisionStateMachine"
STATES = (f"{MACHINE}.CurrentState", f"{MACHINE}.AutomaticModeStateMachine.CurrentState")
RESULT = f"{SYSTEM}.ResultManagement.Results.LastResult"
# of ResultDataType, with the OPC UA types that they have here
FIELDS = {
    "ResultId": "String",
    "IsPartial": "Boolean",
    "IsSimulated": "Boolean",
    "ResultState": "Int32",
    "MeasId": "String",
    "PartId": "String",
    "ExternalRecipeId": "String",
    "InternalRecipeId": "String",
    "JobId": "String",
    "CreationTime": "DateTime",
    "ResultContent": "String",
}
COMPLETED, ABORTED, FAILED = 1, 3, 4  # of ResultStateDataType


def states(values: dict[str, Any]) -> tuple[str, str]:
    """The state of the vision system and, where it is operational, that of its automatic mode; by the registers."""
    if values["state"] == State.OFFLINE:
        return "Halted", ""
    if values["state"] == State.NOT_READY:
        return {Cause.NOT_READY: "Preoperational", Cause.STOPPED: "Halted"}.get(Cause(values["error"]), "Error"), ""
    if values["acquiring"] or values["inspecting"]:
        return "Operational", "SingleExecution"
    return "Operational", "Ready" if values["trigger_ready"] else "Initialized"


def result_fields(result: Result, values: dict[str, Any]) -> dict[str, Any]:
    """A result by the names of `FIELDS`; times are seconds of the wall clock."""
    name, version, session = values["active_recipe"], values["recipe_version"], values["session_id"]
    content = {
        "code": result.code.name,
        "cause": result.cause.name,
        "reason": result.reason,
        "score": result.score,
        "threshold": result.threshold,
        "mode": result.mode.name,
    }
    return {
        "ResultId": f"{session}-{result.inspection_id}",
        "IsPartial": False,
        "IsSimulated": result.mode is not Mode.RUN,
        "ResultState": _state(result),
        "MeasId": f"{session}-{result.acquisition_id}",
        "PartId": result.part.serial or str(result.part.part_id),
        "ExternalRecipeId": name,
        "InternalRecipeId": f"{name}@{version}" if name else "",
        "JobId": result.part.order,
        "CreationTime": time.time() - max(0.0, time.monotonic() - result.finished_s),
        "ResultContent": json.dumps(content),
    }


def _state(result: Result) -> int:
    if result.code is not Code.NO_DECISION:
        return COMPLETED
    return ABORTED if result.cause in (Cause.LATE, Cause.STOPPED) else FAILED
