"""The console command ``proctor``: every command of every folder under one name, each as ``python -m`` runs it."""

import sys
from importlib import import_module, metadata

from runtime import cli
from runtime.errors import InputError

# name: (module, what it does); modules of later rooms are named, not imported, and load when they are asked for
COMMANDS = {
    "stream": ("runtime.stream", "inspect what a camera sees"),
    "train": ("train.__main__", "from a folder of good images to a calibrated, verified detector"),
    "inspect": ("train.inspection.__main__", "look over good images before training on them"),
    "report": ("benchmarks.accuracy.__main__", "measure a detector on a test set, with a report to look at"),
    "info": ("runtime.info", "a detector's recipe in words"),
    "doctor": ("runtime.doctor.__main__", "what this machine can run, and what is missing"),
    "adjust": ("runtime.adjust", "change what a detector file rejects: threshold, smallest area, scale"),
    "set-threshold": ("runtime.set_threshold", "change the threshold in a detector file"),
    "demo": ("runtime.demo.__main__", "render parts as a set of images"),
    "datasets": ("train.datasets.__main__", "which layout a data set has, and what is in it"),
    "teacher": ("train.teacher", "pretrain a teacher on photographs"),
    "students": ("train.students", "train students into a run folder"),
    "calibrate": ("calibration.fit", "fit the statistics of a run folder"),
    "export": ("export.onnx", "make a detector file from a run folder"),
    "int8": ("export.int8", "quantize a detector file"),
    "engine": ("export.engine", "build a TensorRT plan on the machine that runs it"),
    "throughput": ("benchmarks.throughput.__main__", "time detectors beside the machine's own limit"),
}


def main() -> None:
    """Run the command that the first word names, with the words behind it."""
    cli.run(_main)


def _main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"proctor {metadata.version('proctor')}")
    elif name not in COMMANDS:
        raise InputError(f"{name!r} is none of proctor's commands; expected {', '.join(COMMANDS)}")
    else:
        sys.argv = [f"{cli.CONSOLE} {name}", *rest]
        import_module(COMMANDS[name][0]).main()


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: proctor COMMAND [OPTION…]", "", *lines, "", "proctor COMMAND --help tells its options."])
