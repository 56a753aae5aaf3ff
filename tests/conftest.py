"""Session fixtures that are dear to make: tiny finished runs, their detectors, and networks that behave like trained
ones."""

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import hypothesis
import numpy as np
import pytest

import runtime  # noqa: F401  # first: it switches telemetry off, and tests load ONNX Runtime themselves
from benchmarks.line.seen import Absent

if TYPE_CHECKING:
    from train.ensemble import Scale
    from train.options import BackboneStudentsConfig, MemoryBankConfig, StudentsConfig

# shapes are tiny: more threads than one only wait for each other (PyTorch reads this when it is first imported)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# tests train beside tests that inspect, and wait for it
os.environ["PROCTOR_PRIORITY"] = "keep"

# the same examples in each run, and none is too slow on a machine that is busy
hypothesis.settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same")

# under nohup and behind & they are ignored, and so they would be in what the tests start and interrupt
for name, usual in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), usual)

ScaleMaker = Callable[..., "Scale"]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]
ExportedFile = Callable[..., Path]


@contextmanager
def skipped_without_its_other_side() -> Iterator[None]:
    """A real broker, server or chip that is missing here skips the test that asks for it, with what to install."""
    try:
        yield
    except Absent as absent:
        pytest.skip(f"NOT TESTED here: {absent}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with skipped_without_its_other_side():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with skipped_without_its_other_side():
        return (yield)


def pytest_runtest_teardown() -> None:
    """SVT-AV1, with which a test writes a video, gives the thread that calls it real-time priority where root may; all
    that this process starts would have it, too, and a busy browser would leave nothing to the rest."""
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def pytest_collection_finish() -> None:
    """What does not change throughout a run is looked up, and looked through for garbage, once."""
    if "torch" in sys.modules:
        from torch._export import utils
        from torch.onnx._internal.exporter import _registration

        # else each export parses the source of the exporter's 500 operators and looks up all of PyTorch's: half of the
        # time that a small graph takes
        registry: Any = _registration.ONNXRegistry
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))
        vars(utils)["_materialize_cpp_cia_ops"] = functools.cache(utils._materialize_cpp_cia_ops)
    gc.collect()
    gc.freeze()  # a million objects of modules and tests


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a subprocess that runs a command of this checkout on one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, as in a subprocess of `environment`: results are equal bit for bit at equal counts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_scale() -> ScaleMaker:
    """Makes a scale of random networks whose students almost imitate the teacher, as trained ones do."""
    import torch

    from train.dense import dense_descriptors
    from train.ensemble import Scale, Standardized
    from train.networks import PatchNetwork

    def make(patch_size: int, students: int, seed: int = 0, unlike: float = 0.05, width: float = 1) -> Scale:
        torch.manual_seed(seed)
        teacher = PatchNetwork(patch_size, width).eval().requires_grad_(False)
        with torch.no_grad():
            for index in range(len(teacher.convs)):  # biases that folding must not lose
                bias = teacher.conv(index).bias
                assert bias is not None
                bias.normal_(std=0.1)
            descriptors = dense_descriptors(teacher, torch.rand(2, 3, 40, 44), 8, "atrous").transpose(0, 1).flatten(1)
        standardized = Standardized(teacher, descriptors.mean(dim=1), descriptors.std(dim=1))
        return Scale(
            patch_size, standardized, "0" * 64, tuple(imitation(standardized, unlike) for _ in range(students))
        )

    def imitation(teacher: Standardized, unlike: float) -> PatchNetwork:
        student = PatchNetwork(teacher.network.patch_size, teacher.network.width).eval().requires_grad_(False)
        student.load_state_dict(teacher.network.state_dict())
        last = student.conv(len(student.convs) - 1)
        assert last.bias is not None
        last.weight /= teacher.deviation[:, None, None, None]
        last.bias.copy_((last.bias - teacher.mean) / teacher.deviation)
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=unlike * float(parameter.std()))
        return student

    return make


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """A folder that is made once for all processes of a run: its name, and what fills it. It belongs to all tests."""
    from filelock import FileLock

    own = tmp_path_factory.getbasetemp()
    place = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once"
    place.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, is_done = place / name, place / f"{name}.done"
        with FileLock(place / f"{name}.lock"):
            if not is_done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of another process, which could not finish it
                folder.mkdir()
                fill(folder)
                is_done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def part_images(made_once: MadeOnce) -> Path:
    """A flat folder of 16 rendered good parts, 64×64 pixels."""
    from runtime.demo import DemoLine

    def fill(folder: Path) -> None:
        line = DemoLine(3, (64, 64), defect_rate=0)
        for index in range(16):
            assert cv2.imwrite(str(folder / f"{index:02}.png"), line.good(index).image)

    return made_once("parts", fill)


@pytest.fixture(scope="session")
def photographs(made_once: MadeOnce) -> Path:
    """A folder of eight smooth, differently coloured pictures of unequal size."""

    def fill(folder: Path) -> None:
        random = np.random.default_rng(0)
        for index in range(8):
            noise = random.integers(0, 256, (14, 18 + index, 3), np.uint8)
            image = cv2.resize(noise, (180 + 10 * index, 150), interpolation=cv2.INTER_CUBIC)
            assert cv2.imwrite(str(folder / f"{index}.png"), image)

    return made_once("photographs", fill)


@pytest.fixture(scope="session")
def resnet() -> Any:
    """torchvision's ResNet-18 with random weights and statistics."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_(std=0.1)
    return network


@pytest.fixture(scope="session")
def weights(resnet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its state dict as a local file."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(resnet.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def teacher_files(made_once: MadeOnce) -> dict[int, Path]:
    """Files of random teachers by patch size."""
    import torch

    from train.files import save_network
    from train.networks import PATCH_SIZES, PatchNetwork

    def fill(folder: Path) -> None:
        for patch_size in PATCH_SIZES:
            torch.manual_seed(patch_size)
            path = folder / f"teacher-{patch_size}.safetensors"
            save_network(path, PatchNetwork(patch_size), {"made": "by a test"})

    folder = made_once("teachers", fill)
    return {patch_size: folder / f"teacher-{patch_size}.safetensors" for patch_size in PATCH_SIZES}


@pytest.fixture(scope="session")
def tiny_config(part_images: Path, teacher_files: dict[int, Path]) -> "StudentsConfig":
    """Two students of p = 33 on 32×36 pixels: a second to train."""
    from runtime.scoring import Scoring
    from train.options import StudentsConfig

    return StudentsConfig(
        data=str(part_images),
        teachers=(str(teacher_files[33]),),
        students=2,
        size_hw=(32, 36),
        output_stride=8,
        relative=True,
        scoring=Scoring(region_of_interest=(2, 3, 28, 30), smoothing=1.5, by_position=True, score_pixels=5),
        train_stride=8,
        steps=2,
        holdout=0.375,
        learning_rate=5e-4,
        device="cpu",
        precision="fp32",
    )


@pytest.fixture(scope="session")
def calibrated_run(made_once: MadeOnce, tiny_config: "StudentsConfig") -> Path:
    """A run folder, trained and calibrated. It belongs to all tests: copy it before changing anything in it."""
    from calibration.calibrate import calibrate
    from calibration.methods import open_run
    from train.student_training import train_students

    def fill(folder: Path) -> None:
        assert train_students(replace(tiny_config), folder / "run")
        calibrate(open_run(folder / "run"), budget=0.2)

    return made_once("students", fill) / "run"


@pytest.fixture(scope="session")
def bank_config(part_images: Path) -> "MemoryBankConfig":
    """A memory bank of 60 descriptors on 32×36 pixels: half of them of 8 images, and 3 or 4 of each of the 8 others."""
    from train.options import MemoryBankConfig

    return MemoryBankConfig(
        data=str(part_images),
        backbone="efficientnet-lite0",
        size_hw=(32, 36),
        coreset=60,
        projected=16,
        device="cpu",
    )


@pytest.fixture(scope="session")
def backbone_students_config(part_images: Path) -> "BackboneStudentsConfig":
    """Two students of a backbone on 32×36 pixels: a second to train."""
    from train.options import BackboneStudentsConfig

    return BackboneStudentsConfig(
        data=str(part_images),
        backbone="efficientnet-lite0",
        students=2,
        width=16,
        blocks=1,
        size_hw=(32, 36),
        steps=4,
        holdout=0.375,
        device="cpu",
        precision="fp32",
    )


@pytest.fixture(scope="session")
def backbone_students_run(made_once: MadeOnce, backbone_students_config: "BackboneStudentsConfig") -> Path:
    """A run folder of them, trained and calibrated. It belongs to all tests: copy it before changing anything in it."""
    from calibration.calibrate import calibrate
    from calibration.methods import open_run
    from train.backbone_students import train_backbone_students

    def fill(folder: Path) -> None:
        assert train_backbone_students(backbone_students_config, folder / "run")
        calibrate(open_run(folder / "run"), budget=0.2)

    return made_once("backbone-students", fill) / "run"


@pytest.fixture(scope="session")
def bank_run(made_once: MadeOnce, bank_config: "MemoryBankConfig") -> Path:
    """A run folder of it, filled and calibrated. It belongs to all tests: copy it before changing anything in it."""
    from calibration.calibrate import calibrate
    from calibration.methods import open_run
    from train.memory_bank import train_memory_bank

    def fill(folder: Path) -> None:
        train_memory_bank(bank_config, folder / "run")
        calibrate(open_run(folder / "run"), budget=0.2)

    return made_once("memory-bank", fill) / "run"


@pytest.fixture(scope="session")
def shallow_backbone(made_once: MadeOnce) -> Path:
    """EfficientNet-Lite0 with the first bottleneck alone of each group, exported in half the time: of runs that this
    process opens, as others do not know the architecture."""
    from train.backbones import ARCHITECTURES, load_backbone, save_backbone
    from train.backbones.efficientnet_lite import GROUPS

    whole, name = "efficientnet-lite0", "efficientnet-lite0-shallow"
    ARCHITECTURES[name] = ARCHITECTURES[whole]
    groups: dict[str, Any] = {**GROUPS, name: tuple(replace(group, repeats=1) for group in GROUPS[whole])}
    GROUPS.update(groups)

    def fill(folder: Path) -> None:
        tensors = load_backbone(whole).network.state_dict()
        kept = {key: value for key, value in tensors.items() if key.startswith("stem.") or key.split(".")[2] == "0"}
        save_backbone(folder / f"{name}.safetensors", name, kept, {"made": "by a test"})

    return made_once("shallow", fill) / f"{name}.safetensors"


@pytest.fixture(scope="session")
def shallow_bank_run(made_once: MadeOnce, bank_config: "MemoryBankConfig", shallow_backbone: Path) -> Path:
    """As `bank_run`, over the shallow backbone: for tests that export it anew."""
    from calibration.calibrate import calibrate
    from calibration.methods import open_run
    from train.memory_bank import train_memory_bank

    def fill(folder: Path) -> None:
        train_memory_bank(replace(bank_config, backbone=str(shallow_backbone)), folder / "run")
        calibrate(open_run(folder / "run"), budget=0.2)

    return made_once("shallow-memory-bank", fill) / "run"


@pytest.fixture(scope="session")
def exported_file(made_once: MadeOnce) -> ExportedFile:
    """The detector file of one of the runs above by the options of its export, its parity frames beside it, and a copy
    of the run, in which export keeps scores."""
    from runs import opened

    from export.detector import ExportOptions, export

    def make(run: Path, **options: Any) -> Path:
        chosen, usual = vars(ExportOptions(**options)), vars(ExportOptions())
        named = [f"{name}={value}" for name, value in chosen.items() if value != usual[name]]

        def fill(folder: Path) -> None:
            own = Path(shutil.copytree(run, folder / "run"))
            export(opened(own), folder / "detector.onnx", ExportOptions(**options))

        return made_once("-".join([run.parent.name, "file", *named]), fill) / "detector.onnx"

    return make


@pytest.fixture(scope="session")
def detector_file(calibrated_run: Path, exported_file: ExportedFile) -> Path:
    """The detector of the run of students in FP32, with its evidence as an output."""
    return exported_file(calibrated_run, explain=True)


@pytest.fixture(scope="session")
def bank_file(bank_run: Path, exported_file: ExportedFile) -> Path:
    """The same of the memory bank."""
    return exported_file(bank_run, explain=True)


@pytest.fixture(scope="session")
def shallow_bank_file(shallow_bank_run: Path, exported_file: ExportedFile) -> Path:
    """The same of the memory bank over the shallow backbone."""
    return exported_file(shallow_bank_run, explain=True)


@pytest.fixture(scope="session")
def backbone_students_file(backbone_students_run: Path, exported_file: ExportedFile) -> Path:
    """The same of a backbone's students."""
    return exported_file(backbone_students_run, explain=True)
