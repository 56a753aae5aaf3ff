"""What each preset detects and what it costs: one curve of AU-PRO against multiply-adds.

::

    python -m benchmarks.presets DATA… --out FOLDER [--presets edge,fast] [--seeds 0,1,2] [--subset odd]
                                       [--layout NAME] [--set OPTION=VALUE]… [--plot FILE.svg|.png]
                                       [--good 10,20,40 [--curves FILE.svg|.png]]

DATA are test sets in any layout. For each of them, each preset and each seed a detector is made as ``python -m train
--preset`` makes it, and its file inspects the test images as on the line. Each is a folder below FOLDER, known by its
options and images, so that the same command goes on after an interruption and others may share FOLDER. Writes
FOLDER/presets.json and presets.md, of this command alone. A number of ``--good`` that a set has not as many good images
for is skipped, and told of.

The cost is counted from the exported graph, for one frame: multiply-adds of all convolutions, the halo included. Times
are the business of ``python -m benchmarks.throughput``. Tune on ``--subset even``, report on ``odd``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_layout_option, add_plot_option, add_subset_option, integers
from runtime import cli
from runtime.atomic import check_writable, write_atomically
from runtime.errors import InputError
from train.config import as_mapping

if TYPE_CHECKING:
    from benchmarks.presets.report import Result


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    for path in (options.plot, options.curves):
        if path:
            from benchmarks.plots import format_of

            format_of(path)

    from benchmarks.presets.cells import checked_config, counts_for, label_of, measure, read_data_set, with_fewer
    from benchmarks.presets.report import label_with, markdown, plot, plot_curves
    from benchmarks.table.cells import check_names

    over, seeds = _over(options.set or []), integers("--seeds", options.seeds, 0)
    checked = {name: checked_config(name, over) for name in options.presets.split(",")}
    configs = {label_of(name, config, over): config for name, config in checked.items()}
    check_names(options.data, [])
    good = integers("--good", options.good, 1) if options.good else (None,)
    for path in (options.out / "presets.json", options.plot, options.curves):
        if path:
            check_writable(path)
    # a wrong folder, a damaged file or a wrong mask is found before hours of training
    sets = [read_data_set(data, options.subset, options.layout) for data in options.data]
    counts = {data.name: counts_for(data, good) for data in sets}
    skipped = {name: left for name, some in counts.items() if (left := [count for count in good if count not in some])}
    cells = [
        (with_fewer(data, count), label_with(label, count), config)
        for data in sets
        for count in counts[data.name]
        for label, config in configs.items()
    ]
    results = [
        measure(label, replace(config, seed=seed), data, options.out) for data, label, config in cells for seed in seeds
    ]
    text = markdown(results, _note(options.subset, skipped))
    print(text)
    _write(results, configs, options.subset, skipped, options.out)
    write_atomically(options.out / "presets.md", text.encode())
    if options.plot:
        plot(results, options.plot)
    if options.curves:
        plot_curves(results, options.curves)


def _over(texts: Sequence[str]) -> dict[str, object]:
    """``OPTION=VALUE`` texts as options over every preset. Raises `InputError` for another form."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not equals or name in ("seed", "data"):
            raise InputError(f"--set is {text!r}; expected OPTION=VALUE of python -m train, other than data and seed")
    return {name.replace("-", "_"): value for name, _, value in pairs}


def _note(subset: str, skipped: Mapping[str, Sequence[int | None]]) -> str:
    told = "".join(
        f" {name} has fewer good images than {', '.join(map(str, counts))}." for name, counts in skipped.items()
    )
    seeds = "With two seeds or more: mean ± standard deviation."
    return f"{subset} test images. {one_line(describe_environment())}. {seeds}{told}"


def _write(
    results: "Sequence[Result]",
    configs: dict[str, Any],
    subset: str,
    skipped: Mapping[str, Sequence[int | None]],
    out: Path,
) -> None:
    document = {
        "environment": describe_environment(),
        "subset": subset,
        "presets": {name: as_mapping(config) for name, config in configs.items()},
        "skipped": skipped,  # numbers of good images that a set has not
        "results": [asdict(result) for result in results],
    }
    write_atomically(out / "presets.json", json.dumps(document, indent=1).encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.presets"), description="What each preset detects and what it costs."
    )
    parser.add_argument("data", type=cli.some_path, nargs="+", help="test sets, in any layout")
    add_layout_option(parser)
    parser.add_argument("--out", type=cli.some_path, required=True, help="folder of detectors and results")
    parser.add_argument("--presets", default="edge", help="comma-separated (edge)")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (0,1,2)")
    add_subset_option(parser, "odd")
    parser.add_argument("--set", action="append", metavar="OPTION=VALUE", help="an option over every preset; repeat it")
    add_plot_option(parser)
    parser.add_argument("--good", help="numbers of good images to train on, where a set has as many (all)")
    parser.add_argument("--curves", type=cli.some_path, help="plot the figures against the number of good images")
    return parser


if __name__ == "__main__":
    cli.run(main)
