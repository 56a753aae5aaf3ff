"""Timing a served detector beside the same one here: what is compared, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="pip install 'proctor[triton]': NO served detector was timed")

from triton_stand_in import StandIn

from benchmarks.throughput.served import LOCAL, Turn, main, rows_of
from export.serving_options import ServingOptions
from export.triton_repository import write_model
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector, write_recipe
from runtime.errors import InputError, ParityError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    """Serves the demo detector."""
    server = StandIn(write_model(DEMO_DETECTOR, tmp_path / "models", "demo", ServingOptions("python")).folder)
    yield server
    server.stop()


def words(detector: Path, server: StandIn) -> list[str]:
    return [
        str(detector),
        server.address(),
        "--clients",
        "1",
        "2",
        "--seconds",
        "0.05",
        "--turns",
        "1",
        "--threads",
        "1",
    ]


def test_the_command_times_both_and_says_that_they_agree(
    server: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "served.json"
    main([*words(DEMO_DETECTOR, server), "--json", str(out)])
    printed = capsys.readouterr().out
    assert "parity on 4 frames" in printed
    document = json.loads(out.read_text())
    assert document["parity"]["decisions_differing"] == 0
    assert [row["clients"] for row in document["rows"]] == [LOCAL, 1, 2]
    assert all(row["frames"] > 0 and row["failed"] == 0 for row in document["rows"])
    assert document["rows"][0]["ratio"] == 1
    assert document["environment"]["served"].startswith("Triton ")


def test_another_detector_is_not_timed(server: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    model, recipe = read_detector(DEMO_DETECTOR)
    write_recipe(path, model, recipe.with_threshold(1.0))
    with pytest.raises(InputError, match=f"the server has the recipe {recipe.sha256[:12]}, the file"):
        main(words(path, server))
    with pytest.raises(InputError, match=r"other\.onnx is no address of a served detector"):
        main([str(DEMO_DETECTOR), str(path)])


def test_a_server_that_computes_otherwise_is_not_timed(server: StandIn) -> None:
    def raised(answer: object) -> None:
        maps = np.frombuffer(answer.raw_output_contents[0], np.float32) * 1.01  # type: ignore[attr-defined]
        answer.raw_output_contents[0] = maps.astype(np.float32).tobytes()  # type: ignore[attr-defined]

    server.change = raised
    with pytest.raises(ParityError, match=r"the served detector deviates from the one here by .*; nothing was timed"):
        main(words(DEMO_DETECTOR, server))


def test_rows_are_ratios_of_turns_beside_each_other() -> None:
    def turn(per_second: float, latency_s: float, processor_s: float) -> Turn:
        return Turn(per_second, np.array([latency_s]), 0, processor_s)

    local = [turn(10, 0.1, 0.5), turn(40, 0.1, 1.5)]
    here, served = rows_of({LOCAL: local, 2: [turn(5, 0.4, 0.1), turn(30, 0.4, 0.1)]})
    assert (here.ratio, here.latency.p50) == (1, 1)
    assert (served.lowest, served.ratio, served.highest) == (0.5, 0.625, 0.75)
    assert served.latency.p50 == pytest.approx(4)
    assert (here.processor, served.processor) == (1, pytest.approx(0.1))
