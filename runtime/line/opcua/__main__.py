"""``python -m runtime.line.opcua``: print the table of nodes as it stands in the docs."""

import argparse

from runtime import cli
from runtime.line.opcua.nodes import tables


def main() -> None:
    argparse.ArgumentParser(
        prog=cli.program("runtime.line.opcua"), description="Print the nodes of the OPC UA server in Markdown."
    ).parse_args()
    print(tables())


if __name__ == "__main__":
    cli.run(main)
