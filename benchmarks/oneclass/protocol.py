"""The protocol of the paper's Table 2: every method fitted on one class, and judged on the images of all."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods.base import Method, Setting
from benchmarks.methods.registry import entry, make_small_image_method, method_options
from benchmarks.oneclass.results import ClassResult, read_result, shown_images, write_result
from benchmarks.oneclass.small_images import SmallImages
from benchmarks.oneclass.students import OneClassStudents, Options
from benchmarks.table.cells import settings_sha256
from calibration.metrics import auroc
from runtime.errors import InputError
from runtime.typed import build
from train.config import as_mapping
from train.data import file_sha256
from train.ensemble import teacher_path


def judge(method: Method, images: SmallImages, kind: int) -> ClassResult:
    """What a method fitted on the class `kind` says of all test images. Raises what the method raises."""
    began = time.monotonic()
    method.fit(images.train[images.train_labels == kind])
    scores = method.inspect(images.test).scores
    seconds, answers = time.monotonic() - began, None
    if isinstance(method, OneClassStudents):
        answers = method.answers(images.test[shown_images(images.test_labels, kind)])
    return ClassResult(auroc(scores, images.test_labels != kind), seconds, scores, answers)


def resolved(name: str, over: dict[str, str]) -> Any:
    """A method's options, `over` over its defaults. Raises `InputError` for those that do not fit."""
    if name != "ours":
        return method_options(name, over)
    try:
        return build(Options, over)
    except InputError as error:
        raise InputError(f"ours: {error}") from error


def make(name: str, options: Any, setting: Setting) -> Method:
    """A method of Table 2. Raises `InputError` for one that needs whole frames, or options that cannot be used."""
    if name != "ours":
        return make_small_image_method(name, options, setting)
    return OneClassStudents(teacher_path(setting.teacher), options, setting.seed, setting.device)


def run(
    methods: Sequence[str],
    classes: Sequence[int],
    images: SmallImages,
    over: dict[str, dict[str, str]],
    setting: Setting,
    keep: Path | None,
) -> dict[str, dict[int, ClassResult]]:
    """Results by method and class; with `keep` each is a file there, and one that is there is not made again.

    Raises `InputError` for options that do not fit, before anything is trained.
    """
    chosen = {name: resolved(name, over.get(name, {})) for name in methods}
    for name, options in chosen.items():
        make(name, options, setting)  # all refused before any is trained
    digest = images.sha256() if keep else ""
    found: dict[str, dict[int, ClassResult]] = {}
    for name, options in chosen.items():
        found[name] = {}
        for kind in classes:
            path = keep / f"{name}-class{kind}.npz" if keep else None
            sha256 = _settings_sha256(name, options, kind, digest, setting)
            result = read_result(path, sha256) if path else None
            if result is None:
                result = judge(make(name, options, setting), images, kind)
                if path:
                    write_result(path, result, sha256)
            found[name][kind] = result
            print(f"{entry(name).title}, class {kind}: {result.auroc:.4f}", flush=True)
    return found


def _settings_sha256(name: str, options: Any, kind: int, images_sha256: str, setting: Setting) -> str:
    """Of everything that a class's result depends on but the code."""
    return settings_sha256(
        {
            "method": name,
            "options": as_mapping(options),
            "class": kind,
            "images": images_sha256,
            "seed": setting.seed,
            "teacher": file_sha256(teacher_path(setting.teacher)),
        }
    )
