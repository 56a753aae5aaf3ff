"""``python -m runtime.backup.restore``: a backup checked, and put back."""

import argparse

from runtime import cli
from runtime.backup.archive import Archive
from runtime.backup.restoring import restore
from runtime.signing import read_key


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if (arguments.folder is None) != arguments.check:
        parser.error("give a folder to restore into, or --check")
    with Archive(arguments.backup, read_key(arguments.key_file)) as archive:
        manifest = archive.manifest
        size = f"{len(manifest.files):,} files, {manifest.total_bytes / 1e6:,.1f} MB"
        about = f"{size}, of {manifest.folder}, {manifest.at}"
        if arguments.check:
            archive.check()
            print(f"{arguments.backup} is whole: {about}")
            return
        before = restore(archive, arguments.folder, arguments.overwrite)
    print(f"{arguments.folder} restored: {about}")
    for what in manifest.left_out:
        print(f"not in the backup: {what}")
    if not manifest.folders:
        print(
            "permissions of folders are not in the backup, which an earlier Proctor made: they are their owner's alone"
        )
    if before is not None:
        print(f"what was there before is now {before}; remove it when the line runs")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.backup.restore"),
        description="Put a station's state back from a backup. Everything is checked before anything is written.",
    )
    parser.add_argument("backup", type=cli.some_path, metavar="BACKUP.tar", help="that proctor backup wrote")
    parser.add_argument("folder", type=cli.some_path, nargs="?", help="to restore into: new or empty")
    parser.add_argument("--check", action="store_true", help="say whether the backup is whole, and write nothing")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that holds something")
    parser.add_argument("--key-file", type=cli.some_path, metavar="FILE", help="key that it must be signed with")
    return parser


if __name__ == "__main__":
    cli.run(main)
