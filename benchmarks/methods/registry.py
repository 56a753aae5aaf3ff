"""The compared methods by name. Importing this loads none of them; each loads when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from runtime.errors import InputError
from runtime.typed import build

if TYPE_CHECKING:
    from benchmarks.methods.base import Method, Setting


@dataclass(frozen=True)
class Entry:
    """A method: its module, which has `Options` and `make` (or `model`, for a model of descriptors), and its title."""

    module: str
    title: str
    of_descriptors: bool = False  # its `model` scores a teacher's descriptors, wherever they come from
    of_backbone: bool = False  # whether it builds on the pretrained ResNet-18
    random: bool = True  # whether a seed changes its result
    images_only: bool = False  # whether it has no maps


METHODS = {
    "ours": Entry("students", "Ours"),
    "1-nn": Entry("one_nearest", "1-NN", of_descriptors=True),
    "oc-svm": Entry("support_vectors", "OC-SVM", of_descriptors=True),
    "k-means": Entry("clusters", "K-Means", of_descriptors=True),
    "l2-ae": Entry("descriptor_autoencoder", "ℓ2-AE", of_descriptors=True),
    "vae": Entry("descriptor_vae", "VAE", of_descriptors=True),
    "autoencoder": Entry("autoencoder", "MSE-AE"),
    "ssim-ae": Entry("ssim_autoencoder", "SSIM-AE"),
    "anogan": Entry("anogan", "AnoGAN"),
    "dictionary": Entry("feature_dictionary", "CNN feature dictionary", of_backbone=True),
    "k-nn": Entry("image_neighbours", "k-NN of images", of_backbone=True, random=False, images_only=True),
    "patchcore": Entry("patchcore", "PatchCore", of_backbone=True),
    "padim": Entry("padim", "PaDiM", of_backbone=True),
    "stfpm": Entry("stfpm", "STFPM", of_backbone=True),
    "dfr": Entry("dfr", "DFR", of_backbone=True),
    "ocgan": Entry("ocgan", "OCGAN", images_only=True),
    "detector": Entry("detector", "Detector", random=False),
}


def entry(name: str) -> Entry:
    """A method's entry. Raises `InputError` for a name that is none."""
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}; choose among {', '.join(METHODS)}")
    return METHODS[name]


def method_options(name: str, values: Mapping[str, object]) -> Any:
    """A method's options, `values` over its defaults. Raises `InputError` for a name or value that does not fit."""
    try:
        return build(_module(name).Options, values)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def make_method(name: str, options: Any, setting: "Setting") -> "Method":
    """A method over whole frames, not fitted yet. Raises `InputError` for options that cannot be used."""
    module = _module(name)
    if not entry(name).of_descriptors:
        made: Method = module.make(options, setting)
        return made
    from benchmarks.methods.descriptors import over_teacher

    return over_teacher(module.model(options, setting), setting, options.stride, options.samples)


def make_small_image_method(name: str, options: Any, setting: "Setting") -> "Method":
    """A method over images as small as a patch, each with one descriptor (paper, Table 2), not fitted yet.

    Raises `InputError` for a method over maps, which makes no sense there.
    """
    module = _module(name)
    if entry(name).of_descriptors:
        from benchmarks.methods.descriptors import over_patches

        return over_patches(module.model(options, setting), setting, options.samples)
    if name != "ocgan":
        raise InputError(f"the method {name!r} needs whole frames; for small images choose ours, ocgan or one of"
                         f" {', '.join(each for each in METHODS if METHODS[each].of_descriptors)}")  # fmt: skip
    made: Method = module.make(options, setting)
    return made


def _module(name: str) -> Any:
    return import_module(f"benchmarks.methods.{entry(name).module}")
