"""The console command ``proctor``: every command of every folder under one name, each as ``python -m`` runs it."""

import sys
from importlib import import_module, metadata

from runtime import cli
from runtime.errors import InputError

# name: (module, what it does); modules of later rooms are named, not imported, and load when they are asked for
COMMANDS = {
    "stream": ("runtime.stream", "inspect what a camera sees"),
    "line": ("runtime.line.__main__", "serve a line controller"),
    "train": ("train.__main__", "from a folder of good images to a calibrated, verified detector"),
    "inspect": ("train.inspection.__main__", "look over good images before training on them"),
    "report": ("benchmarks.accuracy.__main__", "measure a detector on a test set, with a report to look at"),
    "info": ("runtime.info", "a detector's recipe in words"),
    "service": ("runtime.service.__main__", "write a unit of systemd that runs a line at boot"),
    "io-test": ("runtime.line.io_test", "answer a line controller without camera and detector"),
    "recipes": ("runtime.recipes.__main__", "seal, activate and roll back what a station runs"),
    "records": ("runtime.records.__main__", "look up what a station recorded"),
    "bundle": ("runtime.bundle.__main__", "everything that a station needs in one folder, to install offline"),
    "backup": ("runtime.backup.__main__", "a station's recipes, records and detectors in one file"),
    "restore": ("runtime.backup.restore", "put a station's state back from a backup"),
    "web": ("runtime.web.__main__", "make an entry of the live page's users"),
    "doctor": ("runtime.doctor.__main__", "what this machine can run, and what is missing"),
    "cameras": ("runtime.cameras.__main__", "the cameras of this machine, or what one of them delivers"),
    "stillness": ("runtime.stillness", "measure how much a live camera's pictures of a scene at rest differ"),
    "adjust": ("runtime.adjust", "change what a detector file rejects: threshold, smallest area, scale"),
    "compare": ("runtime.compare", "what two detectors say of the same pictures"),
    "set-threshold": ("runtime.set_threshold", "change the threshold in a detector file"),
    "demo": ("runtime.demo.__main__", "render parts as a set of images"),
    "datasets": ("train.datasets.__main__", "which layout a data set has, and what is in it"),
    "teacher": ("train.teacher", "pretrain a teacher on photographs"),
    "students": ("train.students", "train students into a run folder"),
    "calibrate": ("calibration.fit", "fit the statistics of a run folder"),
    "recalibrate": ("calibration.recalibrate", "fit a detector file to other good images"),
    "export": ("export.onnx", "make a detector file from a run folder"),
    "int8": ("export.int8", "quantize a detector file"),
    "engine": ("export.engine", "build a TensorRT plan on the machine that runs it"),
    "triton": ("export.triton", "write a detector into the repository of a Triton server"),
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
