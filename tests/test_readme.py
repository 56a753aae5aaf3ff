"""The README's commands and code, run as they stand (installs apart, which is what a clean machine is for).

Of every page: the commands it names exist, and so do the files and headings it links to.
"""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import mean

import cv2
import pytest

from runtime.threshold import images_needed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
PAGES = {
    page: (ROOT / page).read_text()
    for page in (
        "README.md",
        "benchmarks/RESULTS.md",
        "calibration/README.md",
        "export/TRITON.md",
        "runtime/pictures/README.md",
        "runtime/DETECTOR.md",
        "runtime/PROCESS.md",
        "runtime/README.md",
        "runtime/backup/README.md",
        "runtime/bundle/README.md",
        "runtime/cameras/README.md",
        "runtime/line/GPIO.md",
        "runtime/drift/README.md",
        "runtime/line/README.md",
        "runtime/line/S7.md",
        "runtime/line/opcua/README.md",
        "runtime/publishing/README.md",
        "runtime/recipes/README.md",
        "runtime/records/README.md",
        "runtime/service/README.md",
        "runtime/station/README.md",
        "runtime/tensorrt/README.md",
        "runtime/web/README.md",
        "runtime/web/MONITORING.md",
        "runtime/web/SECURITY.md",
        "train/README.md",
        "train/backbones/README.md",
        "train/teachers/README.md",
    )
}
MOST_BYTES = 7_200  # of the front page: what a newcomer reads; all else has a page in the room it belongs to


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(code_blocks("")).splitlines()
    return [line for line in lines if line.startswith("python -m ")]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, *shlex.split(command)[1:]]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=280)


def test_the_demo_command_ends_with_a_summary_and_a_good_auroc(tmp_path: Path) -> None:
    command = next(line for line in commands() if "--camera demo" in line)
    done = run(f"{command} --threads 1", tmp_path)  # beside other tests a second thread only waits for its turn
    assert done.returncode == 0, done.stderr
    found = re.search(r"image AUROC (\d\.\d+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found.group(1)) >= 0.95
    assert len(list((tmp_path / "overlays").iterdir())) == 60


def test_the_embedding_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from runtime.demo import DemoLine

    cv2.imwrite(str(tmp_path / "part.png"), DemoLine(7).good(0).image)
    (tmp_path / "detector.onnx").write_bytes((ROOT / "runtime" / "data" / "demo.onnx").read_bytes())
    (example,) = code_blocks("python")
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


ASK_FOR_HELP = """
import contextlib, io, json, runpy, sys

told = []
for name in sys.argv[1:]:
    sys.argv, said, status = [name, "--help"], io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException as error:
            print(repr(error))
            status = 1
    told.append((name, status, said.getvalue()))
print(json.dumps(told))
"""


def commands_named() -> set[str]:
    found = {name for page in PAGES.values() for name in re.findall(r"python\s-m\s([a-z0-9_.]*[a-z0-9_])", page)}
    rows = README[README.index("| command |") : README.index("## Adding")]
    found |= set(re.findall(r"`([a-z]+\.[a-z0-9_]+)`", rows))
    return found - {"pytest"}  # not of ours, and there: it runs this


@pytest.fixture(scope="module")
def explained(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Of each command named, its status and what it says with --help: one process asks all, and imports once."""
    asked = [sys.executable, "-c", ASK_FOR_HELP, *sorted(commands_named())]
    away = tmp_path_factory.mktemp("away")
    done = subprocess.run(asked, cwd=away, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {name: (status, said) for name, status, said in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("command", sorted(commands_named()))
def test_every_command_named_exists_and_explains_itself(command: str, explained: dict[str, tuple[int, str]]) -> None:
    status, said = explained[command]
    assert status == 0, said
    assert "usage:" in said


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_heading_linked_exists(page: str) -> None:
    links = re.findall(r"\]\(([^):]+)\)", PAGES[page])
    assert links or page != "README.md"
    for link in links:
        path, _, heading = link.partition("#")
        target = ROOT / Path(page).parent / path
        assert target.exists(), link
        assert not heading or heading in headings(target.read_text()), link


def headings(page: str) -> set[str]:
    """As GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_front_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= MOST_BYTES


def two_digits(ratio: float) -> str:
    """More are not known of a few calls on a machine that has other work, too."""
    return f"{ratio:#.2g}"


def test_the_times_say_of_how_many_calls_they_are_and_beside_what_load() -> None:
    document = json.loads((RESULTS / "throughput.json").read_text())
    (calls,) = {row["latency_ms"]["samples"] for row in document["rows"]}
    assert f"median of {calls}, load {document['load_before']:.1f}." in " ".join(README.split())


@pytest.mark.parametrize("preset", ["fast", "edge", "accurate"])
def test_the_figures_of_a_preset_are_those_kept(preset: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{preset}`")]
    times = json.loads((RESULTS / "throughput.json").read_text())["rows"]
    (ratio,) = [each["latency_ratio"]["p50"] for each in times if each["name"] == preset]
    found = json.loads((RESULTS / "presets.json").read_text())["results"]
    cells = [two_digits(ratio)]
    for category in ("magnetic_tile", "cookie", "bottle", "transistor"):
        seeds = [each for each in found if (each["preset"], each["category"]) == (preset, category)]
        auroc, au_pro = (mean(each[measure] for each in seeds) for measure in ("image_auroc", "au_pro_30"))
        cells.append(f"{auroc:.3f}, {au_pro:.3f}")
    assert row.endswith(f"| {' | '.join(cells)} |")


def test_the_figures_beside_them_are_those_kept() -> None:
    times = json.loads((RESULTS / "throughput.json").read_text())["rows"]
    ratio = {each["name"]: each["latency_ratio"]["p50"] for each in times}
    kept = json.loads((RESULTS / "presets-students-dense.json").read_text())["results"]
    students = [two_digits(ratio["students"])]
    for category in ("magnetic_tile", "cookie"):
        seeds = [each for each in kept if each["category"] == category]
        auroc, au_pro = (mean(each[measure] for each in seeds) for measure in ("image_auroc", "au_pro_30"))
        students.append(f"{auroc:.3f}, {au_pro:.3f}")
    assert f"| {' | '.join([*students, '–', '–'])} |" in README
    with (RESULTS / "table-backbones.csv").open(newline="") as file:
        found = {(row["method"], row["category"], row["measure"]): float(row["value"]) for row in csv.DictReader(file)}
    patchcore = [two_digits(ratio["patchcore-resnet18"])] + [
        f"{found['PatchCore', each, 'image_auroc']:.3f}, {found['PatchCore', each, 'au_pro_30']:.3f}"
        for each in ("magnetic_tile", "cookie", "bottle", "transistor")
    ]
    assert f"| PatchCore over ResNet-18 | {' | '.join(patchcore)} |" in README


def test_the_images_that_one_percent_takes_are_those_that_are_needed() -> None:
    assert f"1 % takes {2 * images_needed(0.01, left_out=True)} images" in README  # as many again are for reference
