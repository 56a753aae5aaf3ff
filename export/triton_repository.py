"""A detector as a model in a repository of NVIDIA Triton: its configuration, its graph or plan, written at once."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export.served_graph import check_served, fixed_count, served_graph
from export.serving_options import FILES, ServingOptions
from runtime.atomic import replace_folder, write_atomically
from runtime.detector_file import frames_to_compare, read_detector, read_parity_frames
from runtime.engines.triton_address import MODEL
from runtime.errors import DetectorError, InputError
from runtime.parity import Agreement
from runtime.recipe import Recipe
from runtime.refused import refused
from runtime.served import IDENTITY, INPUT, served_outputs
from runtime.tensorrt.builder import BuildOptions
from runtime.tensorrt.plans import BuiltPlan, build_checked

VERSION = 1  # each detector is a model of its own, with one version
COMPARED = 3  # frames, on which the served graph is compared with the detector's


@dataclass(frozen=True)
class Written:
    """What was written."""

    folder: Path
    recipe: Recipe
    max_batch: int  # 0 where the graph is fixed to one frame
    found: Agreement | None  # of a plan with ONNX Runtime


def write_model(
    detector: Path, repository: Path, name: str, options: ServingOptions, force: bool = False, cuda: str = "auto"
) -> Written:
    """Write the model `name` of a detector.onnx into a repository, whole or not at all.

    A plan is built here, on the GPU that is to run it, and checked against ONNX Runtime. A model of the same recipe is
    replaced, any other only with `force`. Raises `InputError`, `DetectorError`, `EngineError` and `ParityError`.
    """
    if not MODEL.fullmatch(name):
        raise InputError(f"the model is to be called {name!r}; expected letters, digits, ., - and _")
    model, recipe = read_detector(detector)
    check_precision(recipe, options)
    folder = repository / name
    check_replaced(folder, recipe, force)
    served, fixed = served_graph(model, recipe), fixed_count(model)
    if fixed not in (None, 1):
        raise DetectorError(f"{detector} takes {fixed} frames at once and no other number; export it again")
    max_batch = 0 if fixed else options.batch
    check_served(model, served, recipe, frames_to_compare(detector, recipe, fixed or COMPARED), max(max_batch, 1))
    files, found = {"model.onnx": served}, None
    if options.backend == "tensorrt":
        done = _built(detector, model, recipe, served, max(max_batch, 1), cuda)
        files, found = {"model.plan": done.built.plan}, done.found
    if options.backend == "python":
        files["model.py"] = Path(__file__).with_name("triton_backend.py").read_bytes()
    config = text_format.MessageToString(configuration(name, recipe, options, max_batch), as_utf8=True)
    placed = {f"{VERSION}/{each}": data for each, data in files.items()}
    _write_folder(folder, placed | {"config.pbtxt": config.encode()})
    return Written(folder, recipe, max_batch, found)


def configuration(name: str, recipe: Recipe, options: ServingOptions, max_batch: int) -> pb.ModelConfig:
    """The model's configuration. With a `max_batch` of 0 the number of frames, 1, is a dimension like the others."""
    one = [] if max_batch else [1]
    config = pb.ModelConfig(
        name=name,
        backend=options.backend,
        default_model_filename=FILES[options.backend],
        max_batch_size=max_batch,
        input=[pb.ModelInput(name=INPUT, data_type=pb.TYPE_UINT8, dims=[*one, *recipe.size_hw, 3])],
        output=[_output(output, (*one, *shape)) for output, shape in served_outputs(recipe).items()],
        version_policy=pb.ModelVersionPolicy(specific=pb.ModelVersionPolicy.Specific(versions=[VERSION])),
        instance_group=[pb.ModelInstanceGroup(count=options.instances, kind=_kind(options))],
        model_warmup=list(_warm_up(recipe, max_batch)),
    )
    if max_batch:
        config.dynamic_batching.CopyFrom(_batching(options))
    parameters = dict(recipe.metadata)
    if options.threads is not None:
        parameters["threads" if options.backend == "python" else "intra_op_thread_count"] = str(options.threads)
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    if options.provider == "cuda":
        # without TF32, which keeps ten bits of a mantissa: scores are those of training
        accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="cuda")
        accelerator.parameters["use_tf32"] = "0"
    return config


def _output(name: str, shape: tuple[int, ...]) -> pb.ModelOutput:
    if shape:
        return pb.ModelOutput(name=name, data_type=pb.TYPE_FP32, dims=shape)
    # one number for each frame: Triton has no empty dims, and reshapes what the graph gives
    return pb.ModelOutput(name=name, data_type=pb.TYPE_FP32, dims=[1], reshape=pb.ModelTensorReshape())


def _batching(options: ServingOptions) -> pb.ModelDynamicBatching:
    policy = pb.ModelQueuePolicy(
        timeout_action=pb.ModelQueuePolicy.REJECT,  # a frame that is late is refused: it would be judged too late
        default_timeout_microseconds=options.patience_ms * 1000,
        allow_timeout_override=True,  # a client may have less patience, never more
        max_queue_size=options.queue,
    )
    return pb.ModelDynamicBatching(
        preferred_batch_size=[options.batch],
        max_queue_delay_microseconds=options.delay_us,
        default_queue_policy=policy,
    )


def _kind(options: ServingOptions) -> pb.ModelInstanceGroup.Kind:
    gpu = options.backend == "tensorrt" or options.provider == "cuda"
    return pb.ModelInstanceGroup.KIND_GPU if gpu else pb.ModelInstanceGroup.KIND_CPU


def _warm_up(recipe: Recipe, max_batch: int) -> Iterator[pb.ModelWarmup]:
    """A black frame and, where frames are batched, a whole batch of noise, before the model counts as ready."""
    shape = [*recipe.size_hw, 3] if max_batch else [1, *recipe.size_hw, 3]
    black = pb.ModelWarmup.Input(data_type=pb.TYPE_UINT8, dims=shape, zero_data=True)
    yield pb.ModelWarmup(name="one black frame", batch_size=min(max_batch, 1), inputs={INPUT: black})
    if max_batch > 1:
        noise = pb.ModelWarmup.Input(data_type=pb.TYPE_UINT8, dims=shape, random_data=True)
        yield pb.ModelWarmup(name="a batch of noise", batch_size=max_batch, inputs={INPUT: noise})


def check_precision(recipe: Recipe, options: ServingOptions) -> None:
    """Raise `InputError` where a backend may compute other scores than those of training."""
    if recipe.precision == "int8" and options.backend == "onnxruntime":
        raise InputError(
            "the backend onnxruntime cannot be told to multiply INT8 exactly on every processor, so its scores may not "
            "be those of training; give --backend python or tensorrt, or the FP32 detector"
        )


def _built(detector: Path, model: bytes, recipe: Recipe, served: bytes, batch: int, cuda: str) -> BuiltPlan:
    frames = read_parity_frames(detector, recipe)
    return build_checked(model, recipe, frames, BuildOptions(max_batch=batch), cuda, served=served)


def check_replaced(folder: Path, recipe: Recipe, force: bool) -> None:
    """Raise `InputError` where a model is there that is no other state of this detector, unless with `force`."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give another --name")
    there = recipe_sha256_in(folder)
    if there == recipe.sha256 or force:
        return
    what = "a model that is not Proctor's" if there is None else f"another detector (recipe {there[:12]})"
    raise InputError(f"{folder} holds {what}; give another --name, or --force to replace it")


def recipe_sha256_in(folder: Path) -> str | None:
    """The hash of the recipe of the model in a folder; None where it is no model of Proctor's."""
    try:
        config = text_format.Parse((folder / "config.pbtxt").read_text(), pb.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        return None
    return config.parameters[IDENTITY].string_value or None if IDENTITY in config.parameters else None


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write a model's folder beside its repository, and move it there: a server that polls sees it whole.

    One that is there is replaced in one step where the system can. Raises `InputError` where that is not possible; it
    is then as it was, and so it is after Ctrl-C.
    """
    repository = folder.parent
    try:
        repository.mkdir(parents=True, exist_ok=True)
        home = repository.resolve().parent  # outside of it: a server takes every folder in there for a model
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=home) as made:
            new = Path(made) / "new"
            for name, data in files.items():
                write_atomically(new / name, data)
            if folder.exists():
                replace_folder(new, folder, Path(made) / "old")
            else:
                new.rename(folder)
    except OSError as error:
        raise InputError(
            f"{refused(folder, 'written', error, 'check the path')}; a model is prepared beside its repository, on the "
            "same file system, and moved there"
        ) from error
