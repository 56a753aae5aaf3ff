"""Packages by their metadata: made-up installations on this process's own path."""

import re
from pathlib import Path

import pytest

from runtime.doctor import packages
from runtime.doctor.findings import Status
from runtime.doctor.opencv import examine_opencv
from runtime.doctor.packages import examine_bindings, examine_packages
from runtime.doctor.tensorrt_library import examine_tensorrt
from runtime.versions import ROOT


def install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_packages_that_overwrite_each_other_are_named(site: Path) -> None:
    install(site, "onnxruntime", "1.20.0")
    install(site, "onnxruntime-gpu", "1.20.0")
    finding = next(f for f in examine_packages().findings if f.status is Status.BROKEN)
    assert finding.text == "onnxruntime and onnxruntime-gpu both install onnxruntime, over each other"
    assert finding.remedy.startswith("pip uninstall -y onnxruntime onnxruntime-gpu")


def test_a_missing_package_stops_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.NEEDED, "nobodys_module", "nobodys-package")
    (finding,) = [f for f in examine_packages().findings if f.stops]
    assert (finding.text, finding.remedy) == ("nobodys_module is missing", "pip install nobodys-package")


def test_a_package_whose_compiled_part_does_not_load_stops_the_stream(site: Path) -> None:
    (site / "PIL").mkdir()
    (site / "PIL" / "__init__.py").touch()
    (site / "PIL" / "Image.py").write_text("raise ImportError('_imaging of another Python')")
    (finding,) = [f for f in examine_packages().findings if f.stops]
    assert finding.text == "importing PIL failed: ImportError: _imaging of another Python"
    assert finding.remedy == "pip install --force-reinstall pillow"


def test_all_that_the_base_install_brings_is_needed() -> None:
    listed = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'^ *"([\w-]+)', listed[1], re.MULTILINE)) == set(packages.NEEDED.values())


def test_missing_training_is_absent_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.EXTRAS, "train", ("nobodys_torch",))
    finding = examine_packages().findings[-1]
    assert (finding.status, finding.stops) == (Status.ABSENT, False)
    assert "proctor[train]" in finding.remedy


@pytest.mark.parametrize(
    ("version", "driver", "status"),
    [("13.1.0", (12, 6), Status.BROKEN), ("12.9.0", (12, 6), Status.OK), ("12.9.0", (13, 0), Status.OK)],
)
def test_bindings_are_compared_with_the_drivers_cuda(
    version: str, driver: tuple[int, int], status: Status, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "CUDA_BINDINGS", {"cuda-bindings": "cuda"})
    install(site, "cuda-bindings", version)
    (site / "cuda").mkdir()
    (site / "cuda" / "__init__.py").write_text("raise SystemExit('imported')")
    found = examine_bindings(driver)
    (finding,) = found.findings
    assert (finding.status, found.work) == (status, status is Status.OK)
    if status is Status.BROKEN:
        assert finding.remedy == "pip install 'cuda-bindings<13'"


@pytest.mark.parametrize(
    ("driver", "works"), [((12, 6), False), ((13, 0), True), (None, True)], ids=["older", "new enough", "none"]
)
def test_a_tensorrt_for_a_newer_cuda_than_the_drivers_does_not_work(
    driver: tuple[int, int] | None, works: bool, site: Path
) -> None:
    (site / "tensorrt.py").write_text("__version__ = '11.4.0'")
    install(site, "tensorrt-cu13-libs", "11.4.0")
    found = examine_tensorrt(is_jetson=False, driver_cuda=driver)
    assert (found.version, found.works) == ("11.4.0", works)
    if not works:
        assert found.findings[-1].text == "it is for CUDA 13, the driver supports 12.6"
        assert "tensorrt-cu12" in found.findings[-1].remedy


def test_without_bindings_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "CUDA_BINDINGS", {"nobodys-bindings": "nobodys_bindings"})
    found = examine_bindings(None)
    assert not found.work
    assert "proctor[tensorrt]" in found.findings[0].remedy


def test_opencv_names_what_it_reads_with() -> None:
    import cv2

    found = examine_opencv(is_jetson=False)
    assert found.version == cv2.__version__
    assert found.findings[0].status is Status.OK
    assert found.ffmpeg == ("FFMPEG" in found.stream_backends)
    assert found.gstreamer == ("built without GStreamer" not in [finding.text for finding in found.findings])


@pytest.mark.parametrize(("is_jetson", "remedy"), [(True, "--system-site-packages"), (False, "pip install")])
def test_an_opencv_built_for_another_numpy_gets_that_numpy(is_jetson: bool, remedy: str, site: Path) -> None:
    (site / "cv2.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    (finding,) = examine_opencv(is_jetson).findings
    assert finding.stops
    assert finding.remedy.startswith("pip install 'numpy<2', or: ")
    assert remedy in finding.remedy
