"""The sidecar: what is kept beside a plan, ``detector.plan.json``, since the plan itself stays as TensorRT made it."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from runtime.bounds import LONGEST_SENTENCE, shown
from runtime.errors import DetectorError, InputError
from runtime.recipe import READ as RECIPE_SCHEMAS
from runtime.recipe import Recipe, upgraded
from runtime.signing import is_signature, signature
from runtime.tensorrt.builder import BuildOptions
from runtime.tensorrt.cuda.base import Device
from runtime.tensorrt.library import AGAIN
from runtime.typed import build

SCHEMA = 1
SIGNATURE = "hmac_sha256"
RECIPE_HASH = "recipe_sha256"  # detects accidents; sidecars from before it have none


@dataclass(frozen=True)
class Machine:
    """What a plan is bound to: it runs on this kind of GPU with this version of TensorRT, and nowhere else."""

    tensorrt: str  # version
    gpu: str  # name
    compute_capability: tuple[int, int]

    def difference(self, other: "Machine") -> str | None:
        """Why a plan of this machine does not run on `other`, or None."""
        if self.tensorrt != other.tensorrt:
            return f"it was built by TensorRT {self.tensorrt}, this machine has {other.tensorrt}"
        if (self.gpu, self.compute_capability) != (other.gpu, other.compute_capability):
            return f"it was built for {self.gpu}, this machine has {other.gpu}"
        return None

    @classmethod
    def of(cls, device: Device, tensorrt: str) -> "Machine":
        """That of a GPU and a version."""
        return cls(tensorrt, device.name, device.compute_capability)


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    name: str
    dtype: str  # TensorRT's word, such as UINT8
    shape: tuple[int, ...]  # −1 where it varies


@dataclass(frozen=True)
class Checked:
    """What the parity gate measured after the build; see `runtime.parity.Agreement`."""

    frames: int
    map_deviation: float
    score_deviation: float
    tolerance: float


@dataclass(frozen=True)
class Sidecar:
    """All that is known of a plan. Its precision is in the recipe."""

    recipe: Recipe
    plan_sha256: str
    onnx_sha256: str  # of the whole file; the hash of its graph alone, which binds the plan, is in the recipe
    machine: Machine
    cuda: str  # newest version that the driver supported
    options: BuildOptions
    tensors: tuple[Tensor, ...]
    checked: Checked
    created: str  # ISO 8601, UTC
    schema: int = SCHEMA

    def to_json(self, key: bytes | None = None) -> str:
        """The document, with the hash of its recipe; with `key` it carries an HMAC-SHA256 over all the rest of it."""
        document = asdict(self) | {"recipe": self.recipe.document, RECIPE_HASH: self.recipe.sha256}
        if key is not None:
            document[SIGNATURE] = signature(document, key)
        return json.dumps(document, indent=1, sort_keys=True)


def sidecar_from_json(text: str, key: bytes | None = None) -> Sidecar:
    """Parse a sidecar; with `key` its HMAC must be right.

    Raises `DetectorError` for a damaged document, another schema, a recipe that is not the one of its hash, and a
    missing or wrong HMAC. The threshold of a document with neither hash nor checked HMAC is not vouched for.
    """
    try:
        document: dict[str, Any] = dict(json.loads(text))
        schema, recipe_schema = document["schema"], document["recipe"]["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DetectorError(f"it is damaged; {AGAIN}") from error
    found = document.pop(SIGNATURE, None)
    if key is not None:
        check_signature(document, found, key)
    if schema != SCHEMA or recipe_schema not in RECIPE_SCHEMAS:
        known = " or ".join(map(str, RECIPE_SCHEMAS))
        raise DetectorError(
            f"it has schema {shown(schema)} (recipe {shown(recipe_schema)}), "
            f"this version reads {SCHEMA} (recipe {known}); {AGAIN}"
        )
    recipe_sha256 = document.pop(RECIPE_HASH, None)
    try:
        sidecar = build(Sidecar, document | {"recipe": upgraded(document["recipe"])})
    except (InputError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DetectorError(f"it is damaged ({shown(error, LONGEST_SENTENCE)}); {AGAIN}") from error
    if recipe_sha256 is None and key is None:
        return replace(sidecar, recipe=sidecar.recipe.not_vouched_for())
    if recipe_sha256 not in (None, sidecar.recipe.sha256):
        raise DetectorError(f"its recipe is not the one that was written into it ({RECIPE_HASH}); {AGAIN}")
    return sidecar


def is_signed(text: str) -> bool:
    """Whether a sidecar's document carries an HMAC."""
    return SIGNATURE in json.loads(text)


def check_signature(document: dict[str, Any], found: object, key: bytes) -> None:
    """Raise `DetectorError` unless `found` is the document's HMAC."""
    if found is None:
        raise DetectorError(f"it is not signed, and a key file was given; {AGAIN} --key-file FILE")
    if not is_signature(found, document, key):
        raise DetectorError(
            "its signature is wrong: it was signed with another key or changed since. Find out who changed it; "
            f"then {AGAIN} --key-file FILE"
        )
