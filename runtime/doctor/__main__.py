"""``python -m runtime.doctor``: what this machine can run, in words or as JSON; a health check for a container."""

import argparse
import sys

from runtime.cli import program, run
from runtime.doctor.findings import Finding, Status
from runtime.doctor.report import Report, conclude, examine

_MARKS = {Status.OK: "ok", Status.ABSENT: "absent", Status.BROKEN: "BROKEN"}


def main() -> None:
    arguments = _parser().parse_args()
    report = examine()
    print(report.to_json() if arguments.json else "\n".join(describe(report)))
    if report.stops:
        sys.stdout.flush()
        sys.exit(1)


def describe(report: Report) -> list[str]:
    """The report as lines of text; the last one is the conclusion."""
    findings = list(report.findings)
    width = max(len(finding.area) for finding in findings) + 2
    lines, last = [], ""
    for finding in findings:
        lines += _lines(finding, "" if finding.area == last else f"{finding.area}:", width)
        last = finding.area
    return [*lines, "", conclude(report)]


def _lines(finding: Finding, heading: str, width: int) -> list[str]:
    lines = [f"{heading:{width}}{_MARKS[finding.status]:8}{finding.text}"]
    if finding.remedy:
        lines.append(f"{'':{width + 8}}→ {finding.remedy}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.doctor"),
        description="Say what this machine can run. Exit status 0 when the stream can run, 1 when something it needs "
        "is missing or broken.",
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON document")
    return parser


if __name__ == "__main__":
    run(main)
