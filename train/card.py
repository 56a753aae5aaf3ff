"""``python -m train.card``: a teacher's or backbone's model card, in Markdown, from what its file says of itself."""

import argparse
import hashlib
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from runtime import cli
from runtime.errors import InputError
from runtime.typed import as_text, build
from train.options import TeacherConfig

DESCRIPTORS = {
    "resnet18": "ResNet-18, its last features pooled to 512-d",
    "resnet18-layer23": "ResNet-18, layer2 and layer3 pooled to 384-d",
}
DENSE_DESCRIPTORS = {
    "resnet18-layer23": "ResNet-18, maps of layer2 and layer3 (384-d)",
    "efficientnet-lite0": "EfficientNet-Lite0, maps of group3 and group5 (152-d)",
    "efficientnet-lite2": "EfficientNet-Lite2, maps of group3 and group5 (168-d)",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("train.card"), description=__doc__)
    parser.add_argument("network", help="a shipped teacher's or backbone's name, or the file of one")
    parser.add_argument("--data", metavar="TEXT", help="what the photographs are")
    parser.add_argument("--licence", metavar="TEXT", help="of the photographs and of pretrained weights")
    parser.add_argument("--commercial", choices=("yes", "no"), help="whether these clear commercial use")
    arguments = parser.parse_args()

    path = network_path(arguments.network)
    answers: dict[str, str | None] = {name: getattr(arguments, name) for name in ("data", "licence", "commercial")}
    if is_backbone(path):
        from train.backbones.card import known_answers

        answers = {name: answers[name] or known for name, known in known_answers(path).items()}
    if missing := [f"--{name}" for name, answer in answers.items() if answer is None]:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    print(model_card(path, str(answers["data"]), str(answers["licence"]), answers["commercial"] == "yes"))


def network_path(name: str) -> Path:
    """The file of a teacher or a backbone: a shipped one by name, or any file. Raises `InputError` for neither."""
    from train.backbones import backbone_path, shipped_backbones
    from train.ensemble import shipped_teachers, teacher_path

    if name in shipped_backbones():
        return backbone_path(name)
    if name in shipped_teachers() or Path(name).is_file():
        return teacher_path(name)
    names = ", ".join([*shipped_teachers(), *shipped_backbones()])
    raise InputError(f"{name!r} is neither a shipped teacher or backbone ({names}) nor a file; name one of them")


def is_backbone(path: Path) -> bool:
    """Whether a file is a backbone, and not a teacher."""
    from train.backbones import read_card

    try:
        read_card(path)
    except InputError:
        return False
    return True


def model_card(path: Path, data: str, licence: str, commercial: bool) -> str:
    """The whole card. Raises `InputError` for a file that neither `train.teacher` nor `train.backbones` wrote."""
    from train.backbones import card as backbone

    if is_backbone(path):
        title, table, made_by = f"Backbone {path.stem}", backbone.facts(path), backbone.command(path)
    else:
        title, table, made_by = f"Teacher {teacher_name(path)}", facts(path), command(path)
    parts = [
        f"# {title}",
        table,
        f"```\n{made_by}\n```",
        f"**Photographs.** {data}",
        f"**Licence of the data.** {licence}",
        f"**Cleared for commercial use: {'yes' if commercial else 'no'}.**",
    ]
    return "\n\n".join(parts)


def teacher_name(path: Path) -> str:
    """What ``--teachers`` calls a shipped file: p33 for teacher-p33.safetensors."""
    return path.stem.removeprefix("teacher-")


def facts(path: Path) -> str:
    """A table of everything that a teacher's file itself vouches for."""
    from train.networks import LAYERS, receptive_field

    options, card = _pretraining(path)
    side, data = receptive_field(LAYERS[options.patch_size]), path.read_bytes()
    rows = {
        "file": f"`{path.name}`, {len(data):,} bytes, weights in {'FP16' if options.half else 'FP32'}",
        "SHA-256": f"`{hashlib.sha256(data).hexdigest()}`",
        "receptive field": f"{side}×{side} pixels (p = {options.patch_size})",
        "channels": _channels(options),
        "photographs": _photographs(options, card),
        **({"begun with": f"`{options.start}`, SHA-256 `{card['start_sha256']}`"} if options.start else {}),
        "descriptor network P": _descriptor(options),
        "losses": _losses(options),
        "training": _training(options),
        **_held_out(card),
    }
    header = [f"| | `{teacher_name(path)}` |", "|---|---|"]
    return "\n".join([*header, *(f"| {name} | {text} |" for name, text in rows.items())])


def command(path: Path) -> str:
    """The command line that trained the teacher; what means nothing elsewhere, its paths, in capitals."""
    options, _ = _pretraining(path)
    words = ["python -m train.teacher", "--data PHOTOGRAPHS"]
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in ("data", "descriptor_weights") and value != field.default:
            words.append(f"--{field.name.replace('_', '-')} {shlex.quote(as_text(value))}")
    if options.distillation and options.dense is None:
        words.append("--descriptor-weights RESNET18")
    return " \\\n    ".join(_wrapped([*words, f"--out runs/{path.stem}"]))


def _wrapped(words: list[str], width: int = 110) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _pretraining(path: Path) -> tuple[TeacherConfig, dict[str, Any]]:
    from train.files import load_network

    card = load_network(path)[1]
    if "options" not in card or "photographs" not in card:
        raise InputError(f"{path} does not say how it was trained; a card needs a file that train.teacher wrote")
    return build(TeacherConfig, card["options"]), card


def _channels(options: TeacherConfig) -> str:
    from train.networks import Conv, layers_of

    channels = [
        str(layer.channels) for layer in layers_of(options.patch_size, options.width) if isinstance(layer, Conv)
    ]
    return f"{', '.join(channels)} ({options.width:g} of the paper's in the hidden layers)"


def _photographs(options: TeacherConfig, card: dict[str, Any]) -> str:
    from train.photographs import held_out_count

    count = card["photographs"]
    note = f"{options.data_note}: " if options.data_note else ""
    digest = f"hash of their hashes `{card['photographs_sha256'][:16]}…`"
    return f"{note}{count:,}, of them {held_out_count(count)} held out; {digest}"


def _descriptor(options: TeacherConfig) -> str:
    if not options.distillation:
        return "none: self-supervised"
    standardized = "standardized" if options.standardize else "as it comes"
    if options.dense is not None:
        views = f"{options.dense}×{options.dense} pixels"
        return f"{DENSE_DESCRIPTORS[options.descriptor]} of views of {views}, {standardized}"
    return f"{DESCRIPTORS[options.descriptor]}, patches enlarged to {options.descriptor_input} pixels, {standardized}"


def _losses(options: TeacherConfig) -> str:
    text = f"λk = {options.distillation:g}, λm = {options.triplet:g}, λc = {options.compactness:g}"
    margin = f", δ = {options.margin:g}" if options.triplet else ""
    form = f" ({options.compactness_form} compactness)" if options.compactness else ""
    return text + margin + form


def _training(options: TeacherConfig) -> str:
    falling = " falling to 0 along half a cosine" if options.schedule == "cosine" else ""
    items = "patches" if options.dense is None else "views"
    return (
        f"{options.iterations:,} steps of {options.batch_size} {items}, Adam, learning rate {options.learning_rate:g}"
        f"{falling}, weight decay {options.weight_decay:g}, seed {options.seed}, {options.precision}"
        f" on {options.device}"
    )


def _held_out(card: dict[str, Any]) -> dict[str, str]:
    rows = {}
    if card.get("held_out_error") is not None:
        error = card["held_out_error"]
        rows["held-out error"] = f"{error:.4f} of the variance of P's output left unexplained (predicting the mean: 1)"
    if card.get("held_out_triplets_confused") is not None:
        share, loss = card["held_out_triplets_confused"], card["held_out_triplet_loss"]
        rows["held-out triplets"] = f"{share:.4f} of them confused, loss {loss:.4g} (unweighted)"
    return rows


if __name__ == "__main__":
    cli.run(main)
