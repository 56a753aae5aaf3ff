"""All areas together, and what follows from them: what a stream would run on, and what would make it faster."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.cuda_driver import LIBRARY
from runtime.doctor.cameras import Cameras, examine_cameras
from runtime.doctor.detector_file import ONNX, DetectorFile, examine_detector
from runtime.doctor.driver import Driver, examine_driver
from runtime.doctor.findings import Finding
from runtime.doctor.machine import Machine, examine_machine
from runtime.doctor.onnx_runtime import OnnxRuntime, examine_onnx_runtime
from runtime.doctor.opencv import OpenCV, examine_opencv
from runtime.doctor.packages import Bindings, Packages, examine_bindings, examine_packages
from runtime.doctor.tensorrt_library import TensorRT, examine_tensorrt

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What this machine can run. What others need comes before them, so that the first fault is the cause."""

    machine: Machine
    packages: Packages
    opencv: OpenCV
    onnx_runtime: OnnxRuntime
    driver: Driver
    bindings: Bindings
    tensorrt: TensorRT
    cameras: Cameras
    detector: DetectorFile

    @property
    def findings(self) -> Iterator[Finding]:
        """Every finding, by area."""
        for area in vars(self).values():
            yield from area.findings

    @property
    def stops(self) -> list[Finding]:
        """What keeps the stream from running."""
        return [finding for finding in self.findings if finding.stops]

    def to_json(self) -> str:
        """The report as one document."""
        document = {"schema": SCHEMA, "runs": not self.stops, "conclusion": conclude(self), **asdict(self)}
        return json.dumps(document)


def examine(root: Path = Path("/"), folder: Path = Path(), library: str = LIBRARY) -> Report:
    """Examine everything.

    Files of the system are read below `root`, the detector is looked for in `folder`, and `library` is the NVIDIA
    driver's. Takes a second or two, and never longer than the time-outs of `probe`; raises nothing.
    """
    machine = examine_machine(root)
    with ThreadPoolExecutor() as pool:  # each waits for a process
        packages_soon = pool.submit(examine_packages)
        opencv_soon = pool.submit(examine_opencv, machine.is_jetson)
        driver = examine_driver(root, library)
        tensorrt_soon = pool.submit(examine_tensorrt, machine.is_jetson, driver.cuda)
        onnx_runtime = examine_onnx_runtime(driver)
    tensorrt, bindings = tensorrt_soon.result(), examine_bindings(driver.cuda)
    return Report(
        machine=machine,
        packages=packages_soon.result(),
        opencv=opencv_soon.result(),
        onnx_runtime=onnx_runtime,
        driver=driver,
        bindings=bindings,
        tensorrt=tensorrt,
        cameras=examine_cameras(machine.is_jetson, root),
        detector=examine_detector(folder, tensorrt.works and bindings.work, driver.works),
    )


def conclude(report: Report) -> str:
    """What a stream would use by default, and what would make it faster, in a line."""
    stops = report.stops
    if stops:
        first = stops[0]
        more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
        return f"The stream cannot run: {first.area}: {first.text}; {first.remedy}{more}."
    if report.detector.is_plan:
        return f"The stream would run {report.detector.path} with TensorRT {report.tensorrt.version}."
    runs = report.detector.path or "the demo detector (--camera demo)"
    engine = f"ONNX Runtime {report.onnx_runtime.version} on {report.onnx_runtime.cores} CPU cores"
    return f"The stream would run {runs} with {engine}. {_faster(report)}"


def _faster(report: Report) -> str:
    if not report.driver.works:
        return "Faster: an NVIDIA GPU with its driver; none answers here."
    gpu = report.driver.devices[0].name
    cuda = ", or now: --provider cuda" if report.onnx_runtime.cuda_works else ""
    if report.tensorrt.works and report.bindings.work:
        return f"Faster: a TensorRT plan for {gpu} (python -m export.engine {ONNX}){cuda}."
    missing = next(f for f in (*report.tensorrt.findings, *report.bindings.findings) if f.remedy)
    return f"Faster: TensorRT on {gpu}; {missing.area}: {missing.text}; {missing.remedy}{cuda}."
