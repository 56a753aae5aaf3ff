"""Which file of a sealed recipe runs, and an engine made ready for parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.detector import Detector
from runtime.errors import DetectorError, InputError
from runtime.location import Location
from runtime.parity import FRAME_TIMEOUT_S
from runtime.recipes.store import RecipeStore, Seal

WARM_UP = 3  # inferences: engines choose their ways in the first, and some record them in the second
DETECTORS = ("detector.plan", "detector.onnx")  # of a recipe, the first that it has
GOOD_FRAME = "good"  # the name without ending of a recipe's picture for the self-check


@dataclass(frozen=True)
class Choice:
    """A detector to inspect by."""

    path: Location
    good: Path | None = None  # picture for the self-check
    seal: Seal | None = None  # of its recipe; None for a file that was given

    @property
    def words(self) -> str:
        """For people."""
        return str(self.path) if self.seal is None else f"the recipe {self.seal.name} {self.seal.version}"


def in_force(store: RecipeStore) -> Choice:
    """What the journal says. Raises `InputError` where nothing is in force, and what `RecipeStore.active` raises."""
    seal = store.active()
    if seal is None:
        raise InputError(f"no recipe in {store.folder} is in force; activate one by name")
    return choice_of(store, seal)


def choice_of(store: RecipeStore, seal: Seal) -> Choice:
    """The detector in a sealed recipe, and its good picture. Raises `InputError` where it has no detector."""
    place = store.path(seal.name, seal.version)
    names = [name for name in DETECTORS if name in seal.files]
    if not names:
        raise InputError(f"the recipe {seal.name} {seal.version} has no {' or '.join(DETECTORS)}; seal it with one")
    good = next((place / name for name in sorted(seal.files) if Path(name).stem == GOOD_FRAME), None)
    return Choice(place / names[0], good, seal)


def check_unchanged(words: str, detector: Detector, sha256: str) -> None:
    """Raise `DetectorError` where a detector that was opened again has another recipe than it had."""
    if detector.recipe.sha256 != sha256:
        raise DetectorError(
            f"{words} is not what it was: its file was changed while it was in force, so nothing can go on by it; put "
            "the right one in force and start again"
        )


def warm_up(detector: Detector) -> None:
    """Let the engine infer, on a black frame that nobody is told of. Raises `EngineError` where it cannot."""
    black = np.zeros((1, *detector.recipe.size_hw, 3), np.uint8)
    for _ in range(WARM_UP):
        detector.engine.result(detector.engine.submit(black), FRAME_TIMEOUT_S)
