"""``python -m train.teacher``: pretrain a teacher on natural photographs (paper, section 3.1, equations 1 to 6)."""

import argparse

from runtime import cli
from runtime.priority import give_way
from train.config import add_options, resolve
from train.options import TeacherConfig


def main() -> None:
    parser = argparse.ArgumentParser(prog=cli.program("train.teacher"), description=__doc__)
    add_options(parser, TeacherConfig)
    parser.add_argument("--out", type=cli.some_path, required=True, help="run folder; an interrupted run in it goes on")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="do so many steps now, the rest another time")
    arguments = parser.parse_args()
    give_way("training")
    from train.teacher_training import train_teacher

    path = train_teacher(resolve(TeacherConfig, arguments), arguments.out, arguments.stop_after)
    print(f"teacher written to {path}" if path else f"stopped early; the same command goes on in {arguments.out}")


if __name__ == "__main__":
    cli.run(main)
