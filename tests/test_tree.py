"""The tree of modules: imports run one way, between rooms and within them, however they are written."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("runtime", "train", "calibration", "export", "benchmarks")  # from the ground up: each imports those before it
ENTRY = "train.__main__"  # the one module that may reach across: it calls the stages in order


def modules() -> dict[str, ast.Module]:
    """Every module of the rooms by its dotted name; a package's own is named as the package."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(), str(path))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports, at its top, in functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from (each.value for each in node.args[:1] if isinstance(each, ast.Constant))


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    """The modules that each module imports."""
    trees = modules()

    def home(name: str) -> str | None:
        while name and name not in trees:
            name = name.rpartition(".")[0]
        return name or None

    found = {}
    for name, tree in trees.items():
        targets = {home(each) for each in imported(tree)} - {None, name}
        # a package's __init__ may name what lies in it, and what lies in it the package
        found[name] = {each for each in targets if each is not None and not each.startswith(f"{name}.")}
    return found


def test_no_module_imports_itself_by_a_detour(edges: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_room_imports_a_later_one(edges: dict[str, set[str]]) -> None:
    def floor(name: str) -> int:
        return ROOMS.index(name.partition(".")[0])

    climbs = [f"{name} → {other}" for name, others in edges.items() for other in others if floor(other) > floor(name)]
    assert [climb for climb in climbs if not climb.startswith(f"{ENTRY} ")] == []
