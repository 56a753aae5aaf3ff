"""Which TensorRT is taken, and what is said of any other."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.errors import EngineError
from runtime.tensorrt import library


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a module in TensorRT's place; None is no TensorRT."""
    return lambda module: monkeypatch.setitem(sys.modules, "tensorrt", module)


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.0.0.114", "11.4.0.106"])
def test_versions_from_10_3_to_11_are_taken(version: str, installed: Any, caplog: pytest.LogCaptureFixture) -> None:
    installed(SimpleNamespace(__version__=version))
    assert library.version(library.load()) == version
    assert not caplog.text


@pytest.mark.parametrize("version", ["8.5.2", "8.6.1.post1", "9.3.0", "10.0.1", "10.2.0"])
def test_older_ones_are_refused_with_what_to_do(version: str, installed: Any) -> None:
    installed(SimpleNamespace(__version__=version))
    with pytest.raises(EngineError, match=f"TensorRT {version} is too old, 10.3 or later .* upgrade to JetPack 6"):
        library.load()


def test_a_later_one_is_tried_with_a_warning(installed: Any, caplog: pytest.LogCaptureFixture) -> None:
    installed(SimpleNamespace(__version__="12.0.0"))
    with caplog.at_level(logging.WARNING):
        library.load()
    assert "TensorRT 12.0.0 is newer than any that Proctor was checked against" in caplog.text


def test_a_missing_one_is_told_with_the_extra_that_brings_it(installed: Any) -> None:
    installed(None)
    with pytest.raises(EngineError, match=r"TensorRT is not installed; pip install 'proctor\[tensorrt\]'"):
        library.load()


@pytest.mark.parametrize("version", ["unknown", "", "ten"])
def test_a_module_without_a_version_is_not_trusted(version: str, installed: Any) -> None:
    installed(SimpleNamespace(__version__=version))
    with pytest.raises(EngineError, match=r"TensorRT's version is '.*', expected 10\.3 or later"):
        library.load()


def test_a_library_that_cannot_be_loaded_is_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EngineError, match=r"TensorRT cannot be loaded \(libnvinfer\.so\.10: cannot open"):
        library.load()
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


def test_a_network_is_strongly_typed_where_there_is_another_kind() -> None:
    with_flag = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1))
    without = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace())
    assert (library.network_flags(with_flag), library.network_flags(without)) == (2, 0)


def test_a_refused_profile_is_an_error() -> None:
    refusing = SimpleNamespace(set_optimization_profile_async=lambda index, stream: False)
    with pytest.raises(EngineError, match="TensorRT refused the optimization profile"):
        library.share_profile(refusing, 0)
