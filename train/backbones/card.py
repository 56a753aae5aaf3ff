"""A backbone's model card, in Markdown, from what its file says of itself."""

import shlex
from pathlib import Path
from typing import Any

from runtime.errors import InputError
from train.backbones import ARCHITECTURES
from train.backbones.files import read_card
from train.data import file_sha256

UNKNOWN = "not known"


def facts(path: Path) -> str:
    """A table of everything that the file itself vouches for. Raises `InputError` for a file that says too little."""
    card = _whole_card(path)
    rows = {
        "file": f"`{path.name}`, {path.stat().st_size:,} bytes, weights in FP16",
        "SHA-256": f"`{file_sha256(path)}`",
        **_shape(card),
        **_origin(card),
    }
    cells = {name: " ".join(text.split()).replace("|", "\\|") for name, text in rows.items()}
    return "\n".join([f"| | `{path.stem}` |", "|---|---|", *(f"| {name} | {text} |" for name, text in cells.items())])


def command(path: Path) -> str:
    """The command line that made the file."""
    card = _whole_card(path)
    words = [shlex.quote(card["source"]["name"]), f"--architecture {card['architecture']}"]
    words += [f"--note {shlex.quote(card['note'])}"] if card["note"] else []
    return f"python -m train.backbones {' '.join(words)} \\\n    --out {shlex.quote(path.name)}"


def known_answers(path: Path) -> dict[str, str | None]:
    """What a card says beside the facts, as far as the file knows: `data`, `licence` and `commercial`, or None."""
    return _clearance(_whole_card(path))


def _whole_card(path: Path) -> dict[str, Any]:
    card = read_card(path)
    try:
        _shape(card), _origin(card), _clearance(card)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} does not say how it was made; a card needs a file that train.backbones wrote"
        ) from error
    return card


def _clearance(card: dict[str, Any]) -> dict[str, str | None]:
    source = card["source"]
    if "licence" not in source:
        return dict.fromkeys(("data", "licence", "commercial"))
    licence = (
        f"The licence of the weights, {source['licence']}, permits commercial use. They were {source['data_licence']}. "
        "Whether weights learnt from it may be used commercially, their licence does not settle: ask your lawyer."
    )
    return {
        "data": f"{source['pretrained_on']}.",
        "licence": licence,
        "commercial": "yes" if source["cleared"] else "no",
    }


def _shape(card: dict[str, Any]) -> dict[str, str]:
    stages = ", ".join(f"{each['name']} ({each['channels']}, {each['stride']})" for each in card["stages"])
    pixels, cost = card["pixels"], card["multiply_adds"]
    height, width = cost["size_hw"]
    return {
        "architecture": card["architecture"],
        "stages (channels, stride)": f"{stages}; by default {', '.join(ARCHITECTURES[card['architecture']].compared)}",
        "pixels": f"{pixels['order']}, less {_listed(pixels['mean'])}, divided by {_listed(pixels['std'])}",
        "parameters": f"{card['parameters']:,}",
        "multiply-adds": f"{cost['count']:,} for {height}×{width} pixels",
    }


def _origin(card: dict[str, Any]) -> dict[str, str]:
    source, made = card["source"], card["converted_with"]
    versions = f"Python {made['python']}, PyTorch {made['torch']}, safetensors {made['safetensors']}"
    return {
        "source": f"`{source['name']}`, SHA-256 `{source['sha256']}`",
        "comes from": source.get("origin", UNKNOWN),
        "licence of the weights": source.get("licence", UNKNOWN),
        "changed": card["changes"],
        "converted by": f"`{made['command']}`, {versions}",
        **({"note": card["note"]} if card["note"] else {}),
    }


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
