"""Dataclasses from mappings: every name and type checked."""

from dataclasses import dataclass, field

import pytest

from runtime.errors import InputError
from runtime.typed import as_text, build, type_name


@dataclass(frozen=True)
class Inner:
    weight: float


@dataclass(frozen=True)
class Sample:
    count: int
    rate: float = 0.5
    name: str = "plain"
    fast: bool = False
    sizes: tuple[int, ...] = (1,)
    pair: tuple[int, float] = (1, 2.0)
    limit: int | None = None
    mode: str = field(default="a", metadata={"choices": ("a", "b")})
    inner: Inner = Inner(1.0)
    inners: tuple[Inner, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


def test_values_of_the_right_type_are_taken_over_the_defaults() -> None:
    values = {
        "count": 3,
        "rate": 1,
        "sizes": [17, 33],
        "pair": [4, 5],
        "limit": 7,
        "inner": {"weight": 2},
        "inners": [{"weight": 3}],
        "weights": {"x": 1},
    }
    sample = build(Sample, values)
    assert sample == Sample(
        3, 1.0, sizes=(17, 33), pair=(4, 5.0), limit=7, inner=Inner(2.0), inners=(Inner(3.0),), weights={"x": 1.0}
    )
    assert isinstance(sample.rate, float)


def test_text_of_a_command_line_is_converted() -> None:
    sample = build(Sample, {"count": "3", "rate": "2e-4", "fast": "yes", "sizes": "17,33", "limit": "none"})
    assert sample == Sample(3, 2e-4, fast=True, sizes=(17, 33), limit=None)


def test_a_single_value_is_a_tuple_of_one() -> None:
    assert build(Sample, {"count": 1, "sizes": 33}).sizes == (33,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "count is missing"),
        ({"count": 1, "speed": 2}, "unknown option speed; known are count, rate, "),
        ({"count": "many"}, "count is 'many'; expected INTEGER"),
        ({"count": 1.5}, "count is 1.5; expected INTEGER"),
        ({"count": True}, "count is True; expected INTEGER"),
        ({"count": float("inf")}, "count is inf; expected INTEGER"),
        ({"count": None}, "count is None; expected INTEGER"),
        ({"count": 1, "rate": "fast"}, "rate is 'fast'; expected NUMBER"),
        ({"count": 1, "rate": float("nan")}, "rate is nan; expected NUMBER"),
        ({"count": 1, "rate": "inf"}, "rate is 'inf'; expected NUMBER"),
        ({"count": 1, "name": 3}, "name is 3; expected TEXT"),
        ({"count": 1, "fast": "maybe"}, "fast is 'maybe'; expected yes|no"),
        ({"count": 1, "limit": "x"}, "limit is 'x'; expected INTEGER|none"),
        ({"count": 1, "pair": [1]}, "pair is [1]; expected INTEGER,…"),
        ({"count": 1, "mode": "c"}, "mode is c; expected one of a, b"),
        ({"count": 1, "inner": 3}, "inner is 3; expected "),
        ({"count": 1, "inner": {}}, "weight is missing"),
        ({"count": 1, "weights": [1]}, "weights is [1]; expected "),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(Sample, values)
    assert str(caught.value).startswith(message)


def test_types_and_values_are_written_as_a_person_would() -> None:
    assert [type_name(hint) for hint in (int, float, str, bool, int | None, tuple[int, ...])] == [
        "INTEGER",
        "NUMBER",
        "TEXT",
        "yes|no",
        "INTEGER|none",
        "INTEGER,…",
    ]
    assert (as_text((17, 33)), as_text(0.5)) == ("17,33", "0.5")
