"""The public names: what embeds the runtime imports these from `runtime`, and they stay."""

import re
from inspect import signature
from pathlib import Path

import runtime

ROOT = Path(__file__).parents[2]


def test_the_public_names_are_these() -> None:
    assert runtime.__all__ == ["Decision", "Detector", "Frame", "ProctorError", "Recipe", "Region", "Verdict"]
    for name in runtime.__all__:
        assert getattr(runtime, name).__name__ == name


def test_what_embedders_call_takes_what_it_took() -> None:
    assert list(signature(runtime.Detector.open).parameters) == ["path", "engine", "options"]
    assert list(signature(runtime.Detector.inspect).parameters) == ["self", "frame", "timeout_s"]
    assert [decision.name for decision in runtime.Decision] == ["OK", "NG", "NO_DECISION"]


def test_the_pages_import_public_names_from_the_runtime() -> None:
    pages = [page for page in ROOT.rglob("*.md") if not {".venv", "venv", "node_modules"} & set(page.parts)]
    imported = [names for page in pages for names in re.findall(r"^from runtime import (.+)$", page.read_text(), re.M)]
    assert imported
    for names in imported:
        assert set(re.split(r",\s*", names.strip())) <= {*runtime.__all__}, names
