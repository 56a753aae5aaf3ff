"""``python -m runtime.backup``: a station's state in one file, while the line runs."""

import argparse

from runtime import cli
from runtime.backup.station import back_up
from runtime.signing import read_key


def main() -> None:
    arguments = _parser().parse_args()
    manifest = back_up(
        arguments.folder, arguments.out, arguments.pictures, arguments.leave_out, read_key(arguments.key_file)
    )
    print(
        f"{arguments.out}: {len(manifest.files):,} files, {manifest.total_bytes / 1e6:,.1f} MB, read back and compared"
    )
    for what in manifest.left_out:
        print(f"left out: {what}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.backup"),
        description="Write recipes, records, descriptions and detectors of a station into one file. The line may run.",
    )
    parser.add_argument("folder", type=cli.some_path, help="that the station's files lie in")
    parser.add_argument("out", type=cli.file, metavar="OUT.tar", help="the backup; one of that name is replaced")
    parser.add_argument("--pictures", action="store_true", help="with the pictures of the records")
    parser.add_argument(
        "--leave-out", type=cli.some_path, action="append", default=[], metavar="PATH",
        help="file or folder below FOLDER that is not wanted, such as overlays; several times for several",
    )  # fmt: skip
    parser.add_argument("--key-file", type=cli.some_path, metavar="FILE", help="key that signs it (HMAC-SHA256)")
    return parser


if __name__ == "__main__":
    cli.run(main)
