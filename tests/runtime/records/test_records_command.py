"""``--records`` of the stream, and the command that looks records up."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from runtime.errors import InputError
from runtime.records.images import ImageBounds
from runtime.records.reading import COLUMNS
from runtime.sinks.records import parsed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("station") / "records"
    command = [sys.executable, "-m", "runtime.stream", "--camera", "demo", "--frames", "12"]
    subprocess.run([*command, "--records", f"{folder}?ok_every=2"], check=True, env=environment, capture_output=True)
    return folder


def run(environment: dict[str, str], *arguments: str | Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "runtime.records", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_part_is_looked_up_by_its_id(folder: Path, environment: dict[str, str]) -> None:
    status, out, _ = run(environment, folder, "--part", "7")
    assert status == 0
    assert "part 7" in out
    assert "1 records" in out


def test_all_of_them_go_into_csv_and_parquet_alike(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    _, out, _ = run(environment, folder, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["part_id"] for row in rows] == [str(number) for number in range(11, -1, -1)]
    assert run(environment, folder, "--parquet", tmp_path / "all.parquet")[0] == 0
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert [str(value) if value is not None else "" for value in table["score"].to_pylist()] == [
        row["score"] for row in rows
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there are no records at nowhere"),
        (["nowhere", "--since", "yesterday"], "no time"),
        (["nowhere", "--shifts", "early"], "names no shifts"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(
    arguments: list[str], said: str, environment: dict[str, str], tmp_path: Path
) -> None:
    status, _, err = run(environment, *arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err


def test_options_of_the_sink_are_read() -> None:
    folder, retention, images = parsed("a/b?days=90&bytes=2GB&images=1.5GB&thumbnails=100mb&ok_every=0")
    assert (folder, retention.days, retention.bytes) == (Path("a/b"), 90, 2 * 10**9)
    assert images == ImageBounds(15 * 10**8, 10**8, 0)
    assert parsed("a")[1:] == (type(retention)(), ImageBounds())


@pytest.mark.parametrize(
    "asked", ["", "?days=3", "a?day=3", "a?", "a?days=soon", "a?bytes=2X", "a?bytes=0", "a?days=0", "a?ok_every=-1"]
)
def test_options_that_mean_nothing_are_refused(asked: str) -> None:
    with pytest.raises(InputError):
        parsed(asked)
