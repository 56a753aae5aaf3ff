"""``python -m runtime.info``: a detector's recipe in plain words."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.alignment import ANY_ANGLE, decoded_reference
from runtime.choice.memory import read_choice
from runtime.cli import program, run, some_path
from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.interest import RegionsOfInterest
from runtime.printable import printable
from runtime.recipe import HealthLimits, Recipe
from runtime.scoring import Scoring
from runtime.sharpness import DIRECTIONS
from runtime.threshold import Threshold, explain

if TYPE_CHECKING:
    from runtime.tensorrt.sidecar import Sidecar


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.file.suffix == ".plan":
        from runtime.tensorrt.plans import current_recipe, read_plan, stale

        built = read_plan(arguments.file).sidecar
        sidecar = replace(built, recipe=current_recipe(built, arguments.file.with_suffix(".onnx"), signed=False))
        document, facts = sidecar.to_json(), {**facts_of_plan(sidecar), **facts_of(sidecar.recipe)}
        reason = stale(built, sidecar.recipe, built.machine)
        if reason:
            facts["Plan"] += f". Stale: {reason}, which the rest describes"
    else:
        recipe = read_detector(arguments.file)[1]
        document, facts = recipe.to_json(), {**facts_of(recipe), **fact_of_choice(arguments.file)}
    print(document if arguments.json else "\n".join(lines(facts)))


def lines(facts: dict[str, str]) -> list[str]:
    """Facts as lines of text, one below the other; what does not print is escaped, since texts come from a file."""
    width = max(map(len, facts)) + 2
    return [f"{name + ':':{width}}{printable(text)}" for name, text in facts.items()]


def describe(recipe: Recipe) -> list[str]:
    """The recipe as lines of text for the person who runs the line."""
    return lines(facts_of(recipe))


def facts_of_plan(sidecar: "Sidecar") -> dict[str, str]:
    """What a plan is bound to and how well it was checked, by name."""
    machine, checked, options = sidecar.machine, sidecar.checked, sidecar.options
    major, minor = machine.compute_capability
    return {
        "Plan": f"TensorRT {machine.tensorrt} on {machine.gpu} (compute capability {major}.{minor}), built "
        f"{sidecar.created}",
        "Built for": f"1 to {options.max_batch} frames at once, optimization level {options.optimization_level}, "
        f"{options.workspace_mib:,} MiB of workspace",
        "Checked": f"against ONNX Runtime on {checked.frames} frames: maps within {checked.map_deviation:.2g} and "
        f"scores within {checked.score_deviation:.2g} of the map's deviation ({checked.tolerance:g} allowed)",
        "Plan file": f"sha256 {sidecar.plan_sha256}",
    }


def fact_of_choice(detector: Path) -> dict[str, str]:
    """What ``--engine auto`` remembers beside a detector.onnx, if it was ever asked."""
    try:
        choice = read_choice(detector.with_suffix(".choice.json"))
    except InputError as error:
        return {"Engine auto": str(error)}
    if choice is None:
        return {}
    return {"Engine auto": f"{choice.words()}; it is measured anew when the detector or the machine changes"}


def facts_of(recipe: Recipe) -> dict[str, str]:
    """The recipe in words, by name."""
    return {
        "Frame": _frame(recipe),
        **_alignment(recipe),
        "Method": recipe.method.name,
        "Looks at": recipe.method.looks_at,
        "Score": _score(recipe),
        **_whole_frame(recipe),
        **_tiles(recipe),
        "Threshold": _threshold(recipe.threshold),
        "Smallest region": f"{smallest_region(recipe.scoring)}. {_resolution(recipe)}",
        "Healthy frames": _health(recipe),
        "Precision": _precision(recipe),
        "Trained on": _images(recipe),
        "Made": f"{recipe.provenance.created}, Proctor commit {recipe.provenance.commit}",
        **_recalibration(recipe),
        "With": ", ".join(f"{name} {version}" for name, version in sorted(recipe.provenance.versions.items())),
        "Recipe": f"sha256 {recipe.sha256}, schema {recipe.schema}",
        "Graph": f"sha256 {recipe.graph_sha256}",
        "Images": f"sha256 {recipe.provenance.images_sha256}",
        "Parity frames": f"sha256 {recipe.parity_sha256}",
    }


def _threshold(threshold: Threshold) -> str:
    text = f"parts that score above {threshold.value:.6g} are rejected. {explain(threshold)}"
    if threshold.left_out and threshold.vouched:
        text += " None was held out: each is learned from, and counts by its score without itself."
    return text


def _frame(recipe: Recipe) -> str:
    height, width = recipe.size_hw
    text = f"scaled to {width}×{height} pixels (width × height; {recipe.aspect}, {recipe.interpolation})"
    found = recipe.scoring.region_of_interest
    if found is None:
        return f"{text}, all of it inspected"
    if isinstance(found, RegionsOfInterest):
        return f"{text}, inspected in {_regions(found, recipe)}"
    top, left, rows, columns = found
    return f"{text}, inspected from x {left} to {left + columns} and y {top} to {top + rows}"


def _regions(found: RegionsOfInterest, recipe: Recipe) -> str:
    height, width = found.picture_hw
    chosen = recipe.scoring.inspected(recipe.size_hw)
    assert chosen is not None
    share = chosen.pixels / chosen.mask.size
    told = ", ".join(f"{each.name} ({each.words})" for each in found.regions)
    return f"{told}: {100 * share:.3g} % of it; drawn on pictures of {width}×{height} pixels"


def _alignment(recipe: Recipe) -> dict[str, str]:
    """How the part is found first, where it is."""
    alignment = recipe.alignment
    if alignment is None:
        return {}
    height, width = decoded_reference(alignment.reference).shape
    by_any = alignment.mode == ANY_ANGLE
    angle = "by any angle" if by_any else f"by {alignment.largest_angle:.3g} degrees at most"
    return {
        "Alignment": f"the part is found first, and inspected as it lies in the reference ({width}×{height} pixels, in "
        f"this file): shifted by {100 * alignment.largest_shift:.3g} % of the picture's shorter side at most, turned "
        f"{angle}, with quality {alignment.least_quality:.2f} or more (good images: "
        f"{alignment.good_quality:.2f} or more); others get NO_DECISION"
    }


def _score(recipe: Recipe) -> str:
    smoothing = f", smoothed with σ = {recipe.scoring.smoothing:g} pixels" if recipe.scoring.smoothing else ""
    which = f"the anomaly map{smoothing}"
    if recipe.scoring.by_position:
        which += ", in deviations from what good images show at each position"
    if recipe.scoring.score_pixels == 1:
        score = f"the highest value of {which}"
    else:
        score = f"the mean of the {recipe.scoring.score_pixels} highest values of {which}"
    if recipe.method.image_evidence:
        others = " and ".join(f"the {kind.name}" for kind in recipe.method.image_evidence)
        score = f"whichever is higher, in deviations of good images' scores: {score}; or the evidence of {others}"
    quantiles = sorted((float(p), value) for p, value in recipe.score_quantiles.items())
    reached = ", ".join(f"{100 * p:.4g} % at most {value:.4g}" for p, value in quantiles)
    return f"{score}; of the good images {reached or 'no scores are recorded'}"


def _whole_frame(recipe: Recipe) -> dict[str, str]:
    """What is said of evidence that no place on the map shows, where there is any."""
    kinds = recipe.method.image_evidence
    if not kinds:
        return {}
    told = "; ".join(f"{kind.name}: {kind.looks_at}" for kind in kinds)
    return {"Judged as a whole": f"{told}. It rejects whatever regions there are, and has no area"}


def _tiles(recipe: Recipe) -> dict[str, str]:
    """In which pieces a frame is computed, where it is not at once."""
    if recipe.tiles is None:
        return {}
    rows, columns, (height, width) = recipe.tiles.rows, recipe.tiles.columns, recipe.tiles.tile_hw
    more = 100 * (recipe.tiles.share(recipe.size_hw) - 1)
    told = f"{rows}×{columns} (rows × columns) of {width}×{height} pixels, one after the other"
    return {"Tiles": f"{told}; their overlap adds {more:.0f} % of pixels to compute, and changes no result"}


def smallest_region(scoring: Scoring) -> str:
    """Which regions count, and in which unit areas are told."""
    scale = scoring.mm_per_pixel
    unit = "pixels of the camera's picture" if scale is None else f"mm² ({scale:g} mm a pixel of the camera's picture)"
    if not scoring.smallest_area:
        return f"every region above the threshold counts; areas are in {unit}"
    pixels = f" ({scoring.smallest_pixels:.4g} pixels)" if scale is not None else ""
    smallest = scoring.area_in_words(scoring.smallest_pixels)
    return f"regions above the threshold that are smaller than {smallest}{pixels} do not count; areas are in {unit}"


def _resolution(recipe: Recipe) -> str:
    """What no area can be finer than, in pixels of the prepared frame: a camera's picture may have any number."""
    step = recipe.method.settings.get("output_stride", 1)
    spacing = f", and evidence stands at every {step}th" if step != 1 else ""
    return f"No area is finer than one pixel of the scaled frame{spacing}"


def _health(recipe: Recipe) -> str:
    limits = recipe.health
    rows = f", {limits.height_low:.0f} rows or more" if limits.height_low else ""
    return (
        f"mean brightness {limits.brightness_low:.0f} to {limits.brightness_high:.0f} of 255, "
        f"at most {100 * limits.saturated_high:.3g} % saturated, "
        f"width to height {limits.aspect_low:.2f} to {limits.aspect_high:.2f}{rows}, {_sharpness(limits)}, "
        f"{_likeness(limits)}; others get NO_DECISION"
    )


def _sharpness(limits: HealthLimits) -> str:
    told = [
        f"{low:.3g} or more {direction}" for low, direction in zip(limits.sharpness_low, DIRECTIONS, strict=True) if low
    ]
    return f"sharpness {' and '.join(told)}" if told else "any sharpness (blur is not noticed)"


def _likeness(limits: HealthLimits) -> str:
    if limits.likeness_low:
        return f"likeness to the good images {limits.likeness_low:.2f} or more (less: no part in view)"
    return "with or without a part in view (an empty frame is not noticed before it is scored)"


def _precision(recipe: Recipe) -> str:
    form = f", {recipe.method.settings['form']} form" if "form" in recipe.method.settings else ""
    text = f"{recipe.precision}{form}, largest activation {recipe.largest_activation:.4g}"
    made = recipe.quantization
    if made is None:
        return text
    text = (
        f"{text}. Quantized from a file in FP32 with ranges ({made.ranges}) of {made.range_images} good images; on "
        f"{made.frames} good frames its maps correlate {made.map_correlation:.4f} with that file's, "
        f"{made.decisions_differing} of {made.decisions} decisions differ"
    )
    if made.image_auroc_loss is not None:
        text += f", the image AUROC moves by {-made.image_auroc_loss:+.4f} ({made.defective_images} defective images)"
    slower = "" if made.speed > 1 else ": it was NOT faster there, which was allowed"
    return f"{text}; {made.speed:.2f} times the speed ({made.speed_on}){slower}"


def _images(recipe: Recipe) -> str:
    counts = recipe.provenance.images
    parts = ", ".join(f"{count:,} for {use}" for use, count in counts.items() if count)
    return f"{sum(counts.values()):,} good images ({parts})"


def _recalibration(recipe: Recipe) -> dict[str, str]:
    """When it was fitted to other good images, where it was."""
    made = recipe.recalibration
    if made is None:
        return {}
    counts = ", ".join(f"{count:,} for {use}" for use, count in made.images.items() if count)
    what = "statistics and threshold" if made.statistics else "the threshold"
    return {
        "Recalibrated": f"{made.created} by {made.by}: {what}, to {sum(made.images.values()):,} other good images "
        f"({counts}); before, the recipe was sha256 {made.source_sha256}"
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program("runtime.info"), description="Say in words what a detector is.")
    parser.add_argument("file", type=some_path, metavar="FILE", help="a detector.onnx or detector.plan")
    parser.add_argument("--json", action="store_true", help="print the recipe as one JSON document")
    return parser


if __name__ == "__main__":
    run(main)
