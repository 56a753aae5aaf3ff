"""``python -m export.triton``: a detector becomes a model in the repository of an NVIDIA Triton server."""

import argparse

from export.serving_options import FILES, ServingOptions
from runtime import cli
from runtime.engine_options import add_cuda_option
from runtime.opening import PROVIDERS


def main() -> None:
    arguments = _parser().parse_args()

    from export.triton_repository import write_model

    options = ServingOptions(
        backend=arguments.backend,
        batch=arguments.batch,
        instances=arguments.instances,
        delay_us=arguments.delay_us,
        queue=arguments.queue,
        patience_ms=arguments.patience_ms,
        provider=arguments.provider or "cpu",
        threads=arguments.threads,
    )
    name = arguments.name or arguments.detector.stem
    done = write_model(
        arguments.detector, arguments.repository, name, options, arguments.force, arguments.cuda or "auto"
    )
    if done.found is not None:
        print(done.found.describe())
    if not done.max_batch:
        print("the graph takes one frame at a time: max_batch_size is 0, and no frames are batched or queued")
    print(f"{done.folder} written for the backend {options.backend}, recipe {done.recipe.sha256}")
    print(f"serve it: tritonserver --model-repository={arguments.repository}")
    address = f"triton://HOST:8001/{name}?recipe={done.recipe.sha256[:16]}"
    print(f"use it: python -m runtime.stream --detector '{address}' --camera CAMERA")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("export.triton"), description="Write a detector into the model repository of a Triton server."
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx")
    parser.add_argument("repository", type=cli.some_path, help="the folder that the server is given")
    parser.add_argument("--name", help="of the model (default: the detector file's, without .onnx)")
    parser.add_argument("--backend", choices=tuple(FILES), default="onnxruntime", help="that runs it (%(default)s)")
    batch_help = "most frames at once (%(default)s)"
    parser.add_argument("--batch", type=cli.positive, default=8, metavar="N", help=batch_help)
    parser.add_argument("--instances", type=cli.positive, default=1, metavar="N", help="side by side (%(default)s)")
    delay_help = "that a frame may wait for others to fill a batch (%(default)s)"
    parser.add_argument("--delay-us", type=int, default=0, metavar="N", help=delay_help)
    patience_help = "that a frame waits for its turn; then it is refused (%(default)s)"
    parser.add_argument("--patience-ms", type=cli.positive, default=1000, metavar="N", help=patience_help)
    queue_help = "most frames that wait; a further one is refused (%(default)s)"
    parser.add_argument("--queue", type=cli.positive, default=64, metavar="N", help=queue_help)
    parser.add_argument("--provider", choices=PROVIDERS, help="of the backend onnxruntime (default: cpu)")
    threads_help = "CPU threads of one inference (default: as many as ONNX Runtime takes)"
    parser.add_argument("--threads", type=cli.positive, metavar="N", help=threads_help)
    parser.add_argument("--force", action="store_true", help="replace the model of another detector")
    add_cuda_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
