"""``python -m train.students``: train students to imitate teachers on good images (paper, section 3.2, eq. 7)."""

import argparse

from runtime import cli
from runtime.priority import give_way
from train.config import add_options, resolve
from train.options import StudentsConfig


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("train.students"), description=__doc__)
    add_options(parser, StudentsConfig)
    parser.add_argument("--out", type=cli.some_path, required=True, help="run folder; an interrupted run in it goes on")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="do so many steps now, the rest another time")
    arguments = parser.parse_args()
    give_way("training")
    from train.student_training import train_students

    done = train_students(resolve(StudentsConfig, arguments), arguments.out, arguments.stop_after)
    print(f"students written to {arguments.out}" if done else "stopped early; the same command goes on")


if __name__ == "__main__":
    cli.run(main)
