"""What the page's JSON answers look like, as JSON Schema: `runtime.web.openapi` tells it to programs."""

from typing import Any

from runtime.recipes.store import ACTIVATED, SEALED
from runtime.records.marks import Mark
from runtime.verdict import Decision
from runtime.web.users import Role

Schema = dict[str, Any]


def shape(**properties: Schema) -> Schema:
    """An object of just these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def listed(items: Schema) -> Schema:
    """An array of such."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """Also None."""
    return {"anyOf": [schema, {"type": "null"}]}


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
TIME = {"type": "string", "format": "date-time"}
ROLE = {"enum": [role.word for role in Role]}
MARK = {"enum": [each.words for each in Mark if each.words != "none"]}
DECISION = {"enum": [each.value for each in Decision]}
RATE = {"type": "number", "minimum": 0, "maximum": 1}
YES = {"type": "boolean"}

REFUSED, ERROR = shape(error=TEXT), {"$ref": "#/components/schemas/Error"}
NOTHING = shape()
SESSION = shape(
    csrf=TEXT,
    user=or_null(TEXT),
    role=or_null(ROLE),
    logins=YES,
    labels={"type": "object", "additionalProperties": TEXT},
)
LOGGED_IN = shape(csrf=TEXT, user=TEXT, role=ROLE)
PAUSE = shape(paused_by=or_null(TEXT))
STATUS = shape(status=TEXT)
_REGION = shape(box_xywh={**listed(NUMBER), "minItems": 4, "maxItems": 4}, score=NUMBER)
PART = shape(
    record=or_null(WHOLE),
    mark=or_null(MARK),
    camera=TEXT,
    part_id=or_null(TEXT),
    frame_id=WHOLE,
    at=TIME,
    decision=DECISION,
    reason=TEXT,
    score=or_null(NUMBER),
    threshold=NUMBER,
    frame_hw=or_null({**listed(WHOLE), "minItems": 2, "maxItems": 2}),
    regions=listed(_REGION),
    scores={"type": "object", "additionalProperties": NUMBER},  # by evidence, of a frame that is judged as a whole, too
    terms=listed(shape(kind=TEXT, value=NUMBER, heat=or_null(TEXT))),
    image=or_null(TEXT),
    heat=or_null(TEXT),
    marked_by=or_null(TEXT),
)
PARTS = shape(parts=listed(PART))
MARKED = shape(record=WHOLE, mark={"enum": [each.words for each in Mark]}, by=TEXT)
SEAL = shape(name=TEXT, version=WHOLE, by=TEXT, reason=TEXT, at=TIME)
IN_FORCE = shape(name=TEXT, version=WHOLE, by=TEXT, reason=TEXT, at=TIME, at_once=YES)
_ENTRY = shape(action={"enum": [SEALED, ACTIVATED]}, name=TEXT, version=WHOLE, by=TEXT, reason=TEXT, at=TIME)
_RECIPES = shape(active=or_null(SEAL), running=or_null(SEAL), problem=or_null(TEXT), history=listed(_ENTRY))
_SCORE = shape(score=NUMBER, part_id=or_null(TEXT), frame_id=WHOLE, decision=DECISION, mark=or_null(MARK))
THRESHOLD = shape(
    recipe=TEXT,
    threshold=NUMBER,
    score_quantiles={"type": "object", "additionalProperties": NUMBER},
    sample_size=WHOLE,
    method=TEXT,
    confidence=NUMBER,
    scores=listed(_SCORE),
    recipes=or_null(_RECIPES),
)
_COUNTS = (
    "parts", "rejected_before", "rejected_after", "newly_rejected", "newly_passed", "marked_defects", "defects_found",
    "marked_false_rejects", "false_rejects_left",
)  # fmt: skip
_PROOF = {
    "anyOf": [
        shape(rate={"type": "null"}, why=TEXT),
        shape(rate=RATE, above=WHOLE, of=WHOLE, confidence=or_null(RATE)),
    ]
}
WHAT_IF = shape(value=NUMBER, **{name: {"type": "integer", "minimum": 0} for name in _COUNTS}, proof=_PROOF)
EVENT = shape(
    state={"type": "object"},
    verdicts=listed({"type": "object"}),
    pictures={"type": "object", "additionalProperties": {"type": "object"}},
)
ANYTHING = {"type": "object"}

COUNT = {"type": "integer", "minimum": 0}
_JOB = shape(
    kind=TEXT,
    by=TEXT,
    step=TEXT,
    seconds=NUMBER,
    took_s={"type": "object", "additionalProperties": NUMBER},
    done=YES,
    problem=or_null(TEXT),
    lines=listed(TEXT),
)
_SAID = shape(decision=DECISION, score=or_null(NUMBER), reason=TEXT)
_KIND = shape(
    kind=TEXT, pictures=COUNT, old=COUNT, new=COUNT, differing=COUNT,
    shown=listed(shape(name=TEXT, old=_SAID, new=_SAID)),
)  # fmt: skip
_MADE = {
    "anyOf": [shape(threshold=NUMBER, explained=TEXT, report=YES), shape(problem=TEXT, report=YES)],
}
_SET = shape(
    number=COUNT,
    folder=TEXT,
    camera=TEXT,
    wanted=COUNT,
    by=TEXT,
    at=TIME,
    collecting={
        "anyOf": [{"type": "null"}, shape(kept=COUNT, kind=TEXT), shape(kept=COUNT, wanted=COUNT, kind=TEXT)],
    },
    problem=or_null(TEXT),
    counts=shape(good=COUNT, refused=COUNT, trial=COUNT),
    inspected=COUNT,
    notes=listed(TEXT),
    confirmed=or_null(shape(by=TEXT, at=TIME, pictures=COUNT)),
    revision=TEXT,
    made=or_null(_MADE),
    tries=or_null(COUNT),
    comparison=or_null(shape(old=NUMBER, new=NUMBER, kinds=listed(_KIND))),
    sealed=or_null(SEAL),
)
_CAN = or_null({"type": "object", "additionalProperties": YES})
GOOD_PARTS = {
    "anyOf": [
        shape(
            set=or_null(_SET),
            job=or_null(_JOB),
            can=_CAN,
            fewest=COUNT,
            most=COUNT,
            recipe=or_null(TEXT),
            training=or_null(shape(kept=listed(TEXT), lost=listed(TEXT))),
        ),
        shape(set={"type": "null"}, job={"type": "null"}, can={"type": "null"}),
    ]
}
_KEPT = {"name": TEXT, "good": YES, "suspect": listed(TEXT)}
_TOLD = {"part_id": or_null(TEXT), "frame_id": WHOLE, "at": NUMBER, "decision": DECISION, "reason": TEXT,
         "score": or_null(NUMBER), "threshold": NUMBER}  # fmt: skip
PICTURES = shape(pictures=listed({"anyOf": [shape(**_KEPT, **_TOLD), shape(**_KEPT)]}))
