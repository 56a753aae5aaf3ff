"""Both CUDA bindings, the real packages: over a driver without a GPU, and over a GPU where there is one."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cuda_driver import require_driver
from runtime.errors import EngineError
from runtime.tensorrt.cuda import open_cuda

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
CHECKS = (
    "device",
    "copies_there_and_back",
    "mapped_memory_has_an_address_on_the_gpu",
    "streams_wait_for_events",
    "graphs_do_their_work_when_launched",
    "a_failed_capture_leaves_the_stream_usable",
    "any_thread_may_use_it",
)
MODULES = {"cuda-bindings": "cuda.bindings", "pycuda": "pycuda"}


def is_installed(binding: str) -> bool:
    try:
        return importlib.util.find_spec(MODULES[binding]) is not None
    except ModuleNotFoundError:
        return False


def has_gpu() -> bool:
    try:
        require_driver()
    except EngineError:
        return False
    return True


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1 that needs no GPU."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the CUDA bindings were NOT run over the driver without a GPU")
    folder = tmp_path_factory.mktemp("driver")
    options = ["-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1", "-o", folder / "libcuda.so.1"]
    subprocess.run([compiler, *options, HERE / "driver.c", "-ldl"], check=True)
    return folder


def run(
    binding: str, check: str, environment: dict[str, str], driver: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[str]:
    environment = environment | changes
    if driver is not None:
        environment["LD_LIBRARY_PATH"] = f"{driver}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    command = [sys.executable, HERE / "cuda_checks.py", binding, check]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(params=MODULES)
def binding(request: pytest.FixtureRequest) -> str:
    if not is_installed(request.param):
        pytest.skip(f"{request.param} is not installed: its implementation was NOT run")
    return str(request.param)


@pytest.mark.parametrize("check", CHECKS)
def test_a_binding_keeps_the_contract_over_a_driver_without_a_gpu(
    binding: str, check: str, driver_folder: Path, environment: dict[str, str]
) -> None:
    done = run(binding, check, environment, driver_folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU: the CUDA bindings were NOT run on one")
@pytest.mark.parametrize("check", [*CHECKS, "a_failed_call_is_named"])
def test_a_binding_keeps_the_contract_on_a_gpu(binding: str, check: str, environment: dict[str, str]) -> None:
    done = run(binding, check, environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "check"),
    [
        ("cuInit", "device"),
        ("cuDevicePrimaryCtxRetain", "device"),
        ("cuMemAlloc_v2", "copies_there_and_back"),
        ("cuMemHostAlloc", "copies_there_and_back"),
        ("cuMemHostGetDevicePointer_v2", "mapped_memory_has_an_address_on_the_gpu"),
        ("cuStreamCreate", "copies_there_and_back"),
        ("cuEventCreate", "copies_there_and_back"),
        ("cuMemcpyHtoDAsync_v2", "copies_there_and_back"),
        ("cuMemcpyDtoHAsync_v2", "copies_there_and_back"),
        ("cuEventRecord", "copies_there_and_back"),
        ("cuStreamSynchronize", "copies_there_and_back"),
        ("cuEventQuery", "copies_there_and_back"),
        ("cuStreamWaitEvent", "streams_wait_for_events"),
    ],
)
def test_every_error_becomes_ours_with_the_calls_name(
    binding: str, call: str, check: str, driver_folder: Path, environment: dict[str, str]
) -> None:
    done = run(binding, check, environment, driver_folder, PROCTOR_DRIVER_FAIL=call)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("runtime.errors.EngineError: "), done.stderr
    assert call.removesuffix("_v2") in last or call == "cuInit"  # which the driver is asked before any binding


def test_a_gpu_that_shares_the_cpus_memory_is_told(
    binding: str, driver_folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    program = f"from runtime.tensorrt.cuda import open_cuda; c = open_cuda({binding!r}); print(c.device); c.close()"
    found = {**environment, "LD_LIBRARY_PATH": str(driver_folder), "PROCTOR_DRIVER_INTEGRATED": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True, timeout=60)
    assert "integrated=True" in done.stdout, done.stderr
    assert "compute_capability=(8, 7)" in done.stdout
    assert "driver='13.0'" in done.stdout


def test_nothing_is_left_allocated(binding: str, driver_folder: Path, environment: dict[str, str]) -> None:
    program = f"""
import ctypes, sys
sys.path.insert(0, {str(HERE)!r})
import cuda_checks
from runtime.tensorrt.cuda import open_cuda
cuda = open_cuda({binding!r})
for check in {CHECKS!r}:
    getattr(cuda_checks, check)(cuda)
cuda.close()
driver = ctypes.CDLL("libcuda.so.1")
print(driver.proctor_alive(), driver.proctor_depth())
"""
    found = {**environment, "LD_LIBRARY_PATH": str(driver_folder)}
    done = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True, timeout=60)
    # PyCUDA 2026.1 pushes the context to give it back, and counts on an implicit pop that primary contexts do not have
    left = "0 1" if binding == "pycuda" else "0 0"
    assert done.stdout.splitlines()[-1] == left, done.stdout + done.stderr


@pytest.mark.parametrize(
    "failing", ["all", "cuMemFree_v2", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuMemFreeHost"]
)
def test_after_a_fault_everything_is_given_back_and_the_first_error_is_told(
    binding: str, failing: str, driver_folder: Path, environment: dict[str, str]
) -> None:
    program = f"""
import ctypes, logging, os
from runtime.tensorrt.cuda import open_cuda
logging.basicConfig()
cuda = open_cuda({binding!r})
driver = ctypes.CDLL("libcuda.so.1")
try:
    with cuda.current():
        cuda.stream(), cuda.event(), cuda.device_memory(64), cuda.host_memory(64), cuda.device_memory(64)
        driver.setenv(b"PROCTOR_DRIVER_FAIL", {failing!r}.encode(), 1)
        raise ValueError("the first error")
except ValueError as error:
    print(error)
cuda.close()
cuda.close()
print(driver.proctor_alive())
"""
    found = {**environment, "LD_LIBRARY_PATH": str(driver_folder)}
    done = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True, timeout=60)
    first, alive = done.stdout.splitlines()
    assert (done.returncode, first) == (0, "the first error"), done.stderr
    told = "while the GPU was given back: the CUDA call "
    has_context = failing not in ("all", "cuCtxPushCurrent_v2")
    if binding == "pycuda":  # it takes away what it cannot pop, and says itself what it cannot free
        has_context = has_context and failing != "cuCtxPopCurrent_v2"
        told = "PyCUDA WARNING: a clean-up operation failed" if has_context else told
    assert told in done.stderr
    assert done.stderr.count("while the GPU was given back") <= 1
    assert alive == ("0" if has_context else "5")  # where there is no context nothing can be freed in it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PROCTOR_DRIVER_DEVICES": "0"}, "the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"),
        ({"PROCTOR_DRIVER_INIT": "100"}, "the NVIDIA driver finds no GPU"),
        ({"PROCTOR_DRIVER_INIT": "999"}, "the NVIDIA driver does not start (cuInit returned CUDA_ERROR_UNKNOWN (999))"),
        ({"PROCTOR_DRIVER_INIT": "804"}, "the NVIDIA driver does not start (cuInit returned error 804)"),
    ],
)
def test_a_driver_that_is_of_no_use_is_told_in_a_sentence(
    changes: dict[str, str], message: str, driver_folder: Path, environment: dict[str, str]
) -> None:
    done = run("auto", "device", environment, driver_folder, **changes)
    assert done.stderr.strip().splitlines()[-1].startswith(f"runtime.errors.EngineError: {message}"), done.stderr


@pytest.mark.skipif(has_gpu(), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["auto", "cuda-bindings", "pycuda"])
def test_a_missing_driver_is_found_first(name: str) -> None:
    with pytest.raises(EngineError, match=r"there is no NVIDIA driver \(libcuda\.so\.1 cannot be loaded\); install it"):
        open_cuda(name)


def test_an_unknown_binding_is_refused() -> None:
    with pytest.raises(EngineError, match="the CUDA binding is 'opencl'; expected one of auto, cuda-bindings, pycuda"):
        open_cuda("opencl")


def test_a_missing_binding_is_named(driver_folder: Path, environment: dict[str, str]) -> None:
    program = """
import sys
for name in ("cuda", "cuda.bindings", "pycuda"):
    sys.modules[name] = None
from runtime.tensorrt.cuda import open_cuda
open_cuda("auto")
"""
    found = {**environment, "LD_LIBRARY_PATH": str(driver_folder)}
    done = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True, timeout=60)
    assert "EngineError: cuda-bindings or pycuda is not installed; pip install cuda-bindings" in done.stderr
