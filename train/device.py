"""Where training runs and in which precision; both are said aloud and kept in the resolved configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from runtime.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16")
Precision = Literal["fp32", "bf16"]


def resolve_device(name: str) -> str:
    """`cpu` or `cuda`; `auto` takes the GPU when there is one. Raises `InputError` for `cuda` without one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but PyTorch finds no NVIDIA GPU; use --device cpu or install a CUDA build")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def device_of_run(run: Path, trained_on: str, wanted: str | None) -> torch.device:
    """Where a run folder is opened: on the device it was trained on unless another is `wanted`.

    Raises `InputError` as `resolve_device`, and for a run of a GPU where there is none.
    """
    if wanted is None and trained_on == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{run} was trained on a GPU and there is none here; name the CPU with --device cpu")
    return torch.device(resolve_device(wanted or trained_on))


def resolve_precision(name: str, device: str) -> str:
    """`fp32` or `bf16`; `auto` takes bfloat16 convolutions where the hardware has matrix units for them.

    bfloat16 has the exponent range of float32, so no loss scaling is needed; weights, losses and Adam stay float32.
    """
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("amx_bf16", False) else "fp32"


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which networks run in `precision`."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def compiled(network: nn.Module, example: Tensor, name: str) -> Callable[[Tensor], Tensor]:
    """`network` through torch.compile for batches of the shape of `example`, forward and, if it learns, backward.

    Call it in the context that it will run in. Where compiling fails, one sentence says why and the network itself is
    returned: the same results, more slowly.
    """
    network_or_compiled = torch.compile(network, dynamic=False)
    try:
        output = network_or_compiled(example)  # now, and not in the first step
        if output.requires_grad:
            output.float().sum().backward()
            network.zero_grad(set_to_none=True)
    except Exception as error:  # Dynamo, Inductor, Triton and the C++ compiler each raise their own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        print(f"torch.compile cannot compile {name} here ({reason}); it runs uncompiled, only slower")
        return network
    return network_or_compiled
