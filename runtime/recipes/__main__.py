"""``python -m runtime.recipes``: seal, activate and roll back what a station runs."""

import argparse

from runtime import cli
from runtime.errors import InputError
from runtime.recipes.store import RecipeStore
from runtime.signing import read_key


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.action != "seal" and not arguments.folder.is_dir():
        raise InputError(f"{arguments.folder} is no folder of recipes; check the path, or seal the first one there")
    store = RecipeStore(arguments.folder, read_key(arguments.key_file))
    if arguments.action == "list":
        _print_list(store)
    elif arguments.action == "history":
        for entry in store.history():
            print(f"{entry.at[:19]}  {entry.action} {entry.name} {entry.version}  by {entry.by}: {entry.reason}")
    elif arguments.action == "path":
        active = store.active()
        if active is None:
            raise InputError("no recipe is in force; activate one by name")
        print(store.path(active.name, active.version))
    elif arguments.action == "check":
        _check(store)
    elif arguments.action == "seal":
        seal = store.seal(arguments.name, arguments.files, arguments.by, arguments.reason)
        print(f"{seal.name} {seal.version} is sealed in {store.path(seal.name, seal.version)}; activate it to run it")
    elif arguments.action == "activate":
        seal = store.activate(arguments.name, arguments.by, arguments.reason, arguments.version)
        print(f"{seal.name} {seal.version} is in force")
    else:
        seal = store.roll_back(arguments.by, arguments.reason)
        print(f"rolled back: {seal.name} {seal.version} is in force")


def _print_list(store: RecipeStore) -> None:
    active = store.active()
    for name in store.names():
        for version in store.versions(name):
            seal = store.checked(name, version)
            mark = "* " if seal == active else "  "
            print(
                f"{mark}{name} {version}  sealed {seal.at[:19]} by {seal.by}: {seal.reason}  ({', '.join(seal.files)})"
            )
    print("* is in force" if active else "none is in force")


def _check(store: RecipeStore) -> None:
    entries = store.history()
    versions = [(name, version) for name in store.names() for version in store.versions(name)]
    for name, version in versions:
        store.checked(name, version)
    print(f"{len(versions)} versions and {len(entries)} lines of the journal are as they were sealed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.recipes"), description="Seal, activate and roll back what a station runs."
    )
    parser.add_argument("folder", type=cli.some_path, help="of the station's recipes")
    parser.add_argument("--key-file", type=cli.some_path, metavar="FILE", help="key of seals and journal")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the recipes, and which is in force")
    actions.add_parser("path", help="the folder of what is in force, its files checked")
    actions.add_parser("history", help="what was done, by whom, when and why")
    actions.add_parser("check", help="whether everything is as it was sealed")
    seal = actions.add_parser("seal", help="copy files into the next version of a recipe, and seal it")
    seal.add_argument("name")
    seal.add_argument("files", type=cli.some_path, nargs="+", help="detector.onnx, plan, plan.json, YAML")
    activate = actions.add_parser("activate", help="put a version in force")
    activate.add_argument("name")
    activate.add_argument("--version", type=cli.positive, help="(the newest)")
    back = actions.add_parser("rollback", help="put in force what was before")
    for each in (seal, activate, back):
        each.add_argument("--by", required=True, metavar="NAME", help="who does it")
        each.add_argument("--reason", required=True, metavar="TEXT", help="why")
    return parser


if __name__ == "__main__":
    cli.run(main)
