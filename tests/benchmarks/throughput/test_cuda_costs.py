"""The GPU's costs, measured over a GPU that needs no time: the figures are made of what was queued."""

import pytest
from recording_cuda import RecordingCuda

from benchmarks.throughput.cuda import CHAIN_LINKS, CudaCosts, measure


def test_both_directions_a_chain_and_its_graph_are_measured() -> None:
    cuda = RecordingCuda()
    costs = measure(cuda, repeats=3, copy_bytes=1 << 12)
    assert costs.graph_us is not None
    assert min(costs.upload_gb_s, costs.download_gb_s, costs.chain_us[0], costs.graph_us[0]) > 0
    assert (costs.chain_us[1], costs.graph_us[1]) == (None, None)  # of 3 repeats
    assert cuda.calls.count("download") == 3 + 5
    assert cuda.calls.count("upload") == (3 + 5) * (1 + CHAIN_LINKS) + CHAIN_LINKS  # once more to be captured
    assert cuda.calls.count("launch") == 3 + 5
    assert cuda.graphs == 0


def test_a_binding_without_graphs_says_so() -> None:
    costs = measure(RecordingCuda(has_graphs=False), repeats=1, copy_bytes=1 << 12)
    assert costs.graph_us is None
    assert costs.lines()[-2].endswith("this binding has none")


def test_the_figures_are_told_with_their_units() -> None:
    lines = CudaCosts(12.5, 11.0, (200.0, None), (50.0, 55.0), 9).lines()
    assert lines[0].split(None, 1)[1].startswith("12.50 GB/s, 64 MiB")
    assert lines[2].endswith(" 200.0 µs")
    assert lines[3].endswith("50.0 µs (p95 55.0), 0.25 of the time")
    assert lines[4].endswith("9 repeats")


def test_a_machine_without_a_gpu_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.throughput import cuda
    from runtime import cli
    from runtime.cuda_driver import examine

    if examine("libcuda.so.1")["loaded"]:
        pytest.skip("there is a driver here")
    monkeypatch.setattr("sys.argv", ["cuda"])
    with pytest.raises(SystemExit) as ended:
        cli.run(cuda.main)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: there is no NVIDIA driver")
