"""A Dockerfile as instructions, and what is wrong with it by the rules of this project."""

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    arguments: str


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parts = [line.partition(" ") for line in joined.splitlines()]
    return [Instruction(name.upper(), arguments.strip()) for name, _, arguments in parts]


def command(instructions: list[Instruction], name: str) -> list[str]:
    """The words of the last ENTRYPOINT, or of a HEALTHCHECK's CMD, in exec form; empty when there is none."""
    found = [i.arguments for i in instructions if i.name == name]
    exec_form = re.search(r"\[.*\]$", found[-1]) if found else None
    return list(json.loads(exec_form.group())) if exec_form else []


def problems(text: str, root: Path) -> list[str]:
    """What breaks a rule; paths that are copied are looked for below `root`."""
    instructions = parse(text)
    return [
        *_bases(instructions),
        *_user(instructions),
        *_copies(instructions, root),
        *_installs(instructions),
        *(["the image is not tried while it is built"] if not _is_tried(instructions) else []),
        *(f"no {name} in exec form" for name in ("ENTRYPOINT", "HEALTHCHECK") if not command(instructions, name)),
        *(f"no {name}" for name in ("STOPSIGNAL", "LABEL", "WORKDIR") if name not in {i.name for i in instructions}),
    ]


def _is_tried(instructions: list[Instruction]) -> bool:
    user = max((n for n, i in enumerate(instructions) if i.name == "USER"), default=0)
    return any(i == Instruction("RUN", '["python", "-m", "runtime.doctor"]') for i in instructions[user:])


def _bases(instructions: list[Instruction]) -> list[str]:
    stages: set[str] = set()
    found = []
    for arguments in (i.arguments for i in instructions if i.name == "FROM"):
        image, _, stage = arguments.partition(" AS ")
        tag = image.rpartition(":")[2] if ":" in image else ""
        # two numbers at least: 3.12 or r36 alone would move under us
        if image not in stages and not re.search(r"\d+\.\d+\.\d+", tag):
            found.append(f"base {image} is not pinned to a version")
        stages.add(stage)
    return found


def _user(instructions: list[Instruction]) -> list[str]:
    last_stage = instructions[max(n for n, i in enumerate(instructions) if i.name == "FROM") :]
    users = [i.arguments for i in last_stage if i.name == "USER"]
    # by number, so that Kubernetes' runAsNonRoot can see that it is not root's
    return [] if users and users[-1].isdecimal() and int(users[-1]) else ["the container does not run as a fixed user"]


def _copies(instructions: list[Instruction], root: Path) -> list[str]:
    found = []
    for arguments in (i.arguments for i in instructions if i.name == "COPY" and "--from=" not in i.arguments):
        sources = [word for word in arguments.split()[:-1] if not word.startswith("--")]
        found += [f"{source} is copied and does not exist" for source in sources if not (root / source).exists()]
    return found + ["ADD is used; COPY what is here" for i in instructions if i.name == "ADD"]


def _installs(instructions: list[Instruction]) -> list[str]:
    found = []
    for run in (i.arguments for i in instructions if i.name == "RUN"):
        if "apt-get install" in run and "rm -rf /var/lib/apt/lists/*" not in run:
            found.append("package lists stay in a layer")
        if re.search(r"pip install|pip wheel", run) and "--no-cache-dir" not in run:
            found.append("pip's cache stays in a layer")
        if re.search(r"\btorch|\[(train|all|test)", run):
            found.append("training is installed")
        if re.search(r"curl|wget", run) and "sha256sum" not in run:
            found.append("a download is not checked")
    return found
