"""What every command line shares: one sentence for a bad input, a non-zero exit, never a traceback."""

import argparse
import errno
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path

from runtime.errors import BrokeDown, OutputLost, ProctorError
from runtime.outputs import ClosedStdout, forget_unread, replace_closed, say
from runtime.printable import log_on_one_line

CONSOLE = "proctor"  # the console command; see `runtime.console`
# what the base install leaves out, by the extra that brings it
EXTRAS = {
    "train": ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "tqdm"),
    "recalibrate": ("scipy",),
    "bench": ("matplotlib", "sklearn", "threadpoolctl"),
    "fuzz": ("atheris",),
    "rivals": ("anomalib", "timm"),
    "modbus": ("pymodbus",),
    "s7": ("snap7",),
    "gpio": ("gpiod",),
    "jetson": ("Jetson",),
    "opcua": ("asyncua",),
    "mqtt": ("paho",),
    "parquet": ("pyarrow",),
    "bundle": ("cyclonedx", "packageurl", "packaging"),
    "triton": ("grpc", "tritonclient", "google", "google.protobuf"),
    "web": ("starlette", "uvicorn", "prometheus_client"),
}

# PyTorch's allocators, of the CPU and of a GPU, raise a RuntimeError
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "Storage size calculation overflowed")
FULL, FULL_BY_SQLITE = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM), "database or disk is full"

REFUSED = 2  # somebody has to change something
BROKE_DOWN = 3  # another start may cure it

LARGEST_SEED = 2**32 - 1  # the lowest limit of what draws: scikit-learn's
READER_GONE = 128 + 13  # as a shell reports a program that SIGPIPE ended


def run(main: Callable[[], None]) -> None:
    """Run a command's `main` and exit: 0 when it returns, 130 on Ctrl-C, 2 on a `ProctorError`, a missing extra or a
    path that the system refuses; 3 on a `BrokeDown`, a full disk or too little memory, which another start may cure.

    A reader of stdout that closes the pipe early (``| head``) ends the command with 141, quietly; the stream, which
    raises `OutputLost` for it, says so. With a stdout that was closed before (``>&-``) a command does its work, says
    once that nobody gets what it prints, and ends with 2. A stderr that is closed or that nobody reads changes nothing.

    What the terminal's encoding lacks, or a file name has that is no text, is printed as an escape. A log has each line
    when it is printed, not when a buffer is full.
    """
    replace_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    log_on_one_line()
    try:
        status = _status(main)
    finally:
        forget_unread()
    if status == 0 and isinstance(sys.stdout, ClosedStdout) and sys.stdout.was_written:
        status = REFUSED
    if status:
        sys.exit(status)


def _status(main: Callable[[], None]) -> int:
    """Run `main`; the status to exit with, whose reason was printed. What is a fault of ours is raised."""
    try:
        main()
        sys.stdout.flush()
    except SystemExit as ended:  # argparse's, with its message printed
        if ended.code not in (None, 0):
            raise
    except OutputLost as error:
        return _failed(str(error), READER_GONE)
    except ProctorError as error:
        return _failed(str(error), BROKE_DOWN if isinstance(error, BrokeDown) or _is_for_lack(error) else REFUSED)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in EXTRAS.items() if error.name in names), None)
        if extra is None:
            raise  # a fault of ours
        return _failed(f"{error.name} is not installed; pip install 'proctor[{extra}]' (from a checkout: '.[{extra}]')")
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        return READER_GONE
    except OSError as error:
        if error.filename is None and not _is_for_lack(error):
            raise  # a fault of ours
        place, advice = error.filename or "a file", "check the path, its permissions and the free space"
        status = BROKE_DOWN if _is_for_lack(error) else REFUSED
        return _failed(f"{place} cannot be used ({error.strerror}); {advice}", status)
    except (MemoryError, RuntimeError) as error:
        if not _is_for_lack(error):
            raise
        advice = "use smaller frames or batches, or fewer students or images"
        return _failed(f"there is not enough memory; {advice}", BROKE_DOWN)
    return 0


def _is_for_lack(error: BaseException | None) -> bool:
    """Whether memory or a disk was full, by an error or what it was raised from: there may be room at another start."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in FULL):
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY):
            return True
        if str(error) == FULL_BY_SQLITE:
            return True
        error = error.__cause__
    return False


def some_path(text: str) -> Path:
    """An argument type: a path. An empty one, of a variable that was not set perhaps, would be the working folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no path; give one, and . for this folder")
    return Path(text)


def program(module: str) -> str:
    """How a command was started, for its usage: ``python -m MODULE``, or by the console command."""
    return sys.argv[0] if sys.argv[0].startswith(f"{CONSOLE} ") else f"python -m {module}"


def sibling(command: str, module: str) -> str:
    """How another command is started by whoever started this one: ``proctor COMMAND`` or ``python -m MODULE``."""
    return f"{CONSOLE} {command}" if sys.argv[0].startswith(f"{CONSOLE} ") else f"python -m {module}"


FLAGS = {
    "rebuild": "--no-rebuild",
    "wait": "--wait-for-camera",
    "max_pixels": "--max-megapixels",
    "deadline_s": "--deadline-ms",
    "settings": "--camera-set",
}


def as_flag(name: str) -> str:
    """An option of a Python function as the command line writes it."""
    return FLAGS.get(name, f"--{name.replace('_', '-')}")


def file(text: str) -> Path:
    """An argument type: a path with a name, beside which other files can be named."""
    path = Path(text)
    if not path.name:
        raise argparse.ArgumentTypeError(f"{text!r} is no file's name")
    return path


def positive(text: str) -> int:
    """An argument type: a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def positive_number(text: str) -> float:
    """An argument type: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def seed(text: str) -> int:
    """An argument type: what all random generators begin with."""
    if not text.isdecimal() or len(text) > 10 or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _failed(message: str, status: int = REFUSED) -> int:
    say(f"error: {message}")
    return status
