"""The networks of a teacher's pretraining, as its options ask for them."""

from pathlib import Path

import torch

from runtime.errors import InputError
from train.dense_distillation import DenseDescriptor
from train.descriptor import DescriptorNetwork
from train.ensemble import teacher_path
from train.files import load_network
from train.networks import PatchNetwork
from train.options import TeacherConfig


def first_teacher(config: TeacherConfig) -> PatchNetwork:
    """The network that training begins with: random weights, or those of `config.start`.

    Raises `InputError` for a file of another shape.
    """
    if config.start is None:
        return PatchNetwork(config.patch_size, config.width)
    network = load_network(teacher_path(config.start))[0]
    if (network.patch_size, network.width, network.separable) != (config.patch_size, config.width, False):
        raise InputError(
            f"start is {config.start}, of p = {network.patch_size} and width {network.width:g}; this training is of "
            f"p = {config.patch_size} and width {config.width:g}"
        )
    return network


def descriptor_network(config: TeacherConfig, device: torch.device) -> DescriptorNetwork | DenseDescriptor | None:
    """P, of patches or of views; None where nothing is distilled."""
    if not config.distillation:
        return None
    network: DescriptorNetwork | DenseDescriptor
    if config.dense is not None:
        network = DenseDescriptor(config.descriptor, config.patch_size, config.dense)
    else:
        weights = Path(config.descriptor_weights) if config.descriptor_weights else None
        network = DescriptorNetwork(config.descriptor, config.descriptor_input, weights)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]
