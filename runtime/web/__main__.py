"""``python -m runtime.web user NAME ROLE``: an entry of the file of users, its password read from the terminal."""

import argparse

from runtime import cli
from runtime.passwords import ask_password
from runtime.web.users import Role, entry


def main() -> None:
    arguments = _parser().parse_args()
    print(entry(arguments.name, arguments.role, ask_password()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.web"), description="Users of the live page, which --serve of stream and line brings."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    user = actions.add_parser("user", help="print an entry of the file of users; its password is asked for")
    user.add_argument("name")
    user.add_argument("role", choices=[role.word for role in Role])
    return parser


if __name__ == "__main__":
    cli.run(main)
