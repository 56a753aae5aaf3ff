"""What every command line shares: one sentence for a bad input, a non-zero exit, never a traceback."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from runtime.errors import ProctorError

# what the base install leaves out, by the extra that brings it
EXTRAS = {
    "train": ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "scipy", "tqdm"),
    "bench": ("matplotlib", "sklearn", "threadpoolctl"),
    "rivals": ("anomalib", "timm"),
}

# PyTorch's allocators, of the CPU and of a GPU, raise a RuntimeError
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "Storage size calculation overflowed")


def run(main: Callable[[], None]) -> None:
    """Run a command's `main` and exit: 0 when it returns, 130 on Ctrl-C, 2 on a `ProctorError`, a missing extra, a path
    that the system refuses, a full disk or too little memory.

    A reader that closes the pipe early (``| head``) ends the command quietly. What the terminal's encoding lacks, or a
    file name has that is no text, is printed as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except ProctorError as error:
        _fail(str(error), 2)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in EXTRAS.items() if error.name in names), None)
        if extra is None:
            raise  # a fault of ours
        _fail(f"{error.name} is not installed; pip install 'proctor[{extra}]' (from a checkout: '.[{extra}]')", 2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Python would report the same again while it closes stdout at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise  # a fault of ours
        place, advice = error.filename or "a file", "check the path, its permissions and the free space"
        _fail(f"{place} cannot be used ({error.strerror}); {advice}", 2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        _fail("there is not enough memory; use smaller frames or batches, or fewer students or images", 2)


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


def _fail(message: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
