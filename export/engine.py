"""``python -m export.engine``: a detector becomes a TensorRT plan, on the machine that will run it.

The work is in `runtime.tensorrt`, since a device rebuilds its own plan; this is its command. It needs no torch.
"""

import argparse

from runtime import cli
from runtime.engine_options import add_cuda_option, add_key_option


def main() -> None:
    arguments = _parser().parse_args()

    from runtime.tensorrt.builder import BuildOptions
    from runtime.tensorrt.plans import build_plan_file

    out = arguments.out or arguments.detector.with_suffix(".plan")
    options = BuildOptions(arguments.max_batch, arguments.workspace, arguments.optimization_level)
    sidecar, found = build_plan_file(arguments.detector, out, options, arguments.cuda or "auto", arguments.key_file)
    print(found.describe())
    machine = sidecar.machine
    print(f"{out} written, {out.stat().st_size / 1e6:.1f} MB: TensorRT {machine.tensorrt}, {machine.gpu}")
    print(f"try it: python -m runtime.stream --detector {out} --camera FOLDER_OR_CAMERA")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("export.engine"),
        description="Build a TensorRT plan of a detector, on the machine that will run it, and check it against ONNX "
        "Runtime. It takes minutes.",
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx, with its detector.parity.npz beside it")
    parser.add_argument("--out", type=cli.some_path, help="file to write (default: <detector stem>.plan beside it)")
    parser.add_argument("--max-batch", type=cli.positive, default=1, metavar="N", help="most frames at once (1)")
    parser.add_argument(
        "--workspace", type=cli.positive, default=1024, metavar="MIB", help="scratch memory of a layer (1024)"
    )
    parser.add_argument(
        "--optimization-level", type=int, default=3, metavar="0..5", help="5 searches longest for the fastest (3)"
    )
    add_cuda_option(parser)
    add_key_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
