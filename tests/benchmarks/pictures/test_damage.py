"""Damaged files and what reading them costs: the report, and the page that quotes it."""

import json
from pathlib import Path

import pytest

from benchmarks.pictures import damage

ROOT = Path(__file__).parents[3]
ROWS = {  # of the page: the formats of the results that it stands for
    "PNG, TIFF deflate": ("PNG", "TIFF deflate"),
    "WebP": ("WebP",),
    "JPEG": ("JPEG",),
    "JPEG, progressive": ("JPEG progressive",),
    "TIFF, JPEG inside": ("TIFF JPEG",),
    "TIFF LZW": ("TIFF LZW",),
    "TIFF PackBits": ("TIFF PackBits",),
    "WebP lossless": ("WebP lossless",),
    "plain TIFF, BMP": ("TIFF", "BMP"),
}


def test_a_run_writes_its_figures_and_its_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "damage.json"
    damage.main(["--pictures", "1", "--variants", "4", "--repeats", "1", "--side", "100", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["noticed"].keys() == damage.FORMATS.keys()
    assert found["noticed"]["PNG"]["bit flipped"]["refused"] == 1
    assert found["noticed"]["BMP"]["block zeroed"]["refused"] == 0
    assert found["costs"].keys() == set(damage.COSTED)
    assert {"environment", "decoders", "seed"} <= found.keys()
    assert "JPEG progressive" in capsys.readouterr().out


def test_equal_seeds_give_equal_damage() -> None:
    pictures = damage.pictures_of(None, 1, 3)
    runs = [damage.notice(pictures, "WebP", "bit flipped", 10, 5) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("row", ROWS)
def test_the_page_quotes_the_results(row: str) -> None:
    page = (ROOT / "runtime/pictures/README.md").read_text()
    results = json.loads((ROOT / "benchmarks/results/damage.json").read_text())["noticed"]
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
    quoted = [float(cell.strip(" %")) for cell in line.split("|")[2:-1]]
    for form in ROWS[row]:
        by_damage = results[form]
        shares = [1 - by_damage["bit flipped"]["refused"], by_damage["bit flipped"]["spoiled"]]
        shares += [1 - by_damage[name]["refused"] for name in ("block zeroed", "block overwritten", "block lost")]
        assert quoted == pytest.approx([100 * share for share in shares], abs=0.51)
