"""``python -m train.teacher``: pretrain a teacher on natural photographs (paper, section 3.1, equations 1 to 6)."""

import argparse
import hashlib
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import cli
from runtime.errors import InputError
from train.config import add_options, option, resolve

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from train.descriptor import DescriptorNetwork, Standardization
    from train.patches import PatchSampler

HELD_OUT_FRACTION = 0.05  # of the photographs
HELD_OUT_PATCHES = 2048
STANDARDIZATION_PATCHES = 4096


@dataclass(frozen=True)
class TeacherConfig:
    """Options of a teacher's pretraining; the defaults are the paper's where it names one."""

    data: str = option("", "folder of natural photographs")
    patch_size: int = option(33, "side p of the patches", (17, 33, 65))
    descriptor: str = option("resnet18", "network P to distil from", ("resnet18", "resnet18-layer23", "none"))
    descriptor_weights: str | None = option(None, "file of P's weights; without it torchvision downloads them")
    descriptor_input: int = option(96, "side in pixels at which patches enter P (the paper does not say)")
    standardize: bool = option(True, "standardize P's output over patches of the photographs (ours)")
    distillation: float = option(1.0, "weight λk of the distillation loss")
    triplet: float = option(0.0, "weight λm of the triplet loss")
    compactness: float = option(1.0, "weight λc of the compactness loss")
    compactness_form: str = option("squared", "sum of correlations", ("squared", "signed"))
    margin: float = option(128.0, "margin δ of the triplet loss, a squared distance (ours: one unit per dimension)")
    luminance: float = option(0.2, "largest relative change of a positive's brightness (ours)")
    zoom_cap: float | None = option(None, "largest enlargement of a photograph; none for the paper's 4p to 16p")
    iterations: int = option(50_000, "training steps")
    batch_size: int = option(64, "patches a step")
    learning_rate: float = option(2e-4, "Adam's")
    schedule: str = option("constant", "of the learning rate; cosine ends at zero", ("constant", "cosine"))
    weight_decay: float = option(1e-5, "Adam's")
    seed: int = option(0, "of weights and patches")
    evaluate_every: int = option(500, "steps between two held-out errors")
    checkpoint_every: int = option(500, "steps between two checkpoints")
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    precision: str = option("auto", "of the convolutions; auto: bf16 if the hardware has it", ("auto", "fp32", "bf16"))
    half: bool = option(True, "store the teacher's weights in FP16")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.teacher", description=__doc__)
    add_options(parser, TeacherConfig)
    parser.add_argument("--out", type=Path, required=True, help="run folder; an interrupted run in it goes on")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="do so many steps now, the rest another time")
    arguments = parser.parse_args()
    path = train_teacher(resolve(TeacherConfig, arguments), arguments.out, arguments.stop_after)
    print(f"teacher written to {path}" if path else f"stopped early; the same command goes on in {arguments.out}")


def train_teacher(config: TeacherConfig, out: Path, stop_after: int | None = None) -> Path | None:
    """Train a teacher in the run folder `out`; None when `stop_after` steps end before it is done.

    Raises `InputError` for unusable data, weights or options.
    """
    from train.checks import check_stop_after, check_teacher
    from train.device import resolve_device, resolve_precision
    from train.run_folder import RunFolder

    check_teacher(config)
    check_stop_after(stop_after)
    if config.descriptor == "none" and config.distillation:
        config = replace(config, distillation=0.0)
    if not config.distillation and not config.triplet:
        raise InputError("distillation and triplet are both off, so a teacher has nothing to learn; set --triplet 1")
    device = resolve_device(config.device)
    config = replace(config, device=device, precision=resolve_precision(config.precision, device))
    folder = RunFolder(out)
    folder.check(config)
    training = _Training(config, folder)  # finds what is wrong with the data before anything is written
    folder.claim(config)
    return training.run(stop_after)


class _Training:
    """A teacher with its decoder D, optimizer and data."""

    def __init__(self, config: TeacherConfig, folder: Any) -> None:
        import torch
        from torch import nn

        from train.networks import DESCRIPTOR_SIZE, PatchNetwork
        from train.seeds import TEACHER_HELD_OUT, generator

        self.config, self.folder = config, folder
        self.device = torch.device(config.device)
        print(f"training a teacher of p = {config.patch_size} on {config.device} in {config.precision}")
        self.sampler, held_out, self.data_card = _samplers(config, self.device)
        torch.manual_seed(config.seed)
        self.teacher = PatchNetwork(config.patch_size).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules: dict[str, nn.Module] = {"teacher": self.teacher}
        self.descriptor = _descriptor_network(config, self.device)
        self.held_out_patches = held_out.patches(HELD_OUT_PATCHES, generator(config.seed, TEACHER_HELD_OUT))
        if self.descriptor is not None:
            # the paper's decoder D: fully connected, from the teacher's 128 dimensions to P's
            self.modules["decoder"] = nn.Linear(DESCRIPTOR_SIZE, self.descriptor.size).to(self.device)
            self.standardization = self._standardization()
            self.held_out_target = self._targets(self.held_out_patches)
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.checkpoint = folder.path / "checkpoint.safetensors"

    def run(self, stop_after: int | None) -> Path | None:
        """The training loop, from the checkpoint if there is one."""
        from tqdm import tqdm

        from train.files import load_checkpoint, save_checkpoint, save_network

        config, start = self.config, 0
        if self.checkpoint.exists():
            start = load_checkpoint(self.checkpoint, self.modules, {"adam": self.optimizer})["iteration"]
        end = config.iterations if stop_after is None else min(config.iterations, start + stop_after)
        waited, began = 0.0, time.monotonic()
        bar = tqdm(range(start, end), initial=start, total=config.iterations, unit="step", disable=None)
        for iteration in bar:
            losses, wait_s = self.step(iteration)
            waited += wait_s
            done = iteration + 1
            if done % config.evaluate_every == 0 or done == end:
                elapsed = time.monotonic() - began
                speed = {
                    "patches_per_second": round((done - start) * config.batch_size / elapsed, 1),
                    "share_waiting_for_data": round(waited / elapsed, 3),
                }
                entry = {"iteration": done, **losses(), "held_out_error": self.held_out_error(), **speed}
                self.folder.log(**entry)
                bar.write(", ".join(f"{k} {v:.4g}" for k, v in entry.items() if v is not None))
            if done % config.checkpoint_every == 0 or done == end:
                save_checkpoint(self.checkpoint, self.modules, {"adam": self.optimizer}, {"iteration": done})
        if end < config.iterations:
            return None
        path: Path = self.folder.path / f"teacher-p{config.patch_size}.safetensors"
        save_network(path, self.teacher, self._card(), half=config.half)
        return path

    def step(self, iteration: int) -> tuple[Any, float]:
        """One step: a function that reads its losses (reading waits for the GPU), and the seconds spent on data."""
        import torch

        from train.device import autocast
        from train.schedule import learning_rate
        from train.seeds import TEACHER_STEP, generator

        config = self.config
        draw = generator(config.seed, TEACHER_STEP, iteration)
        began = time.monotonic()
        if config.triplet:
            patches = torch.cat(self.sampler.triplets(config.batch_size, draw))
        else:
            patches = self.sampler.patches(config.batch_size, draw)
        patches = patches.contiguous(memory_format=torch.channels_last)
        waited = time.monotonic() - began
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.learning_rate, config.schedule, iteration, config.iterations)
        with autocast(config.device, config.precision):
            descriptors = self.teacher(patches)
        losses = self._losses(patches, descriptors.float())
        total = sum(losses.values())
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return lambda: {name: loss.item() for name, loss in losses.items()}, waited

    def _losses(self, patches: "Tensor", descriptors: "Tensor") -> dict[str, Any]:
        """Equation 6, term by term, weighted."""
        from train.losses import compactness_loss, distillation_loss, triplet_loss

        config, losses = self.config, {}
        anchors = descriptors[: config.batch_size]
        if config.distillation:
            target = self._targets(patches[: config.batch_size])
            losses["distillation"] = config.distillation * distillation_loss(self.modules["decoder"](anchors), target)
        if config.triplet:
            anchor, positive, negative = descriptors.chunk(3)
            losses["triplet"] = config.triplet * triplet_loss(anchor, positive, negative, config.margin)
        if config.compactness:
            form: Any = config.compactness_form
            losses["compactness"] = config.compactness * compactness_loss(anchors, form)
        return losses

    def held_out_error(self) -> float | None:
        """Share of the variance of P's output that D(T(p)) leaves unexplained, on photographs never trained on."""
        import torch

        if self.descriptor is None:
            return None
        with torch.no_grad():
            decoded = torch.cat(
                [self.modules["decoder"](self.teacher(c)) for c in torch.split(self.held_out_patches, 256)]
            )
        target = self.held_out_target
        return float((decoded - target).square().sum() / (target - target.mean(dim=0)).square().sum())

    def _targets(self, patches: "Tensor") -> "Tensor":
        described = self._described(patches)
        return self.standardization(described) if self.standardization is not None else described

    def _described(self, patches: "Tensor") -> "Tensor":
        import torch

        from train.device import autocast

        assert self.descriptor is not None
        with torch.no_grad(), autocast(self.config.device, self.config.precision):
            chunks = torch.split(patches.contiguous(memory_format=torch.channels_last), 256)
            return torch.cat([self.descriptor(chunk).float() for chunk in chunks])

    def _standardization(self) -> "Standardization | None":
        from train.descriptor import Standardization
        from train.seeds import TEACHER_HELD_OUT, generator

        if not self.config.standardize:
            return None
        sample = self.sampler.patches(STANDARDIZATION_PATCHES, generator(self.config.seed, TEACHER_HELD_OUT, 1))
        return Standardization.of(self._described(sample))

    def _card(self) -> dict[str, object]:
        """What a teacher's file says of itself. Paths are left out: they mean nothing elsewhere."""
        options = {k: v for k, v in asdict(self.config).items() if k not in ("data", "descriptor_weights")}
        return {"options": options, "held_out_error": self.held_out_error(), **self.data_card}


def _samplers(config: TeacherConfig, device: "torch.device") -> "tuple[PatchSampler, PatchSampler, dict[str, object]]":
    """Samplers over the training and the held-out photographs, and what the card says of them."""
    import torch
    from tqdm import tqdm

    from runtime.images import list_images, read_image
    from train.patches import PatchSampler, Photographs, without_excess
    from train.seeds import PHOTOGRAPH_SPLIT, generator

    paths = list_images(Path(config.data))
    if len(paths) < 4:
        raise InputError(f"{config.data} holds {len(paths)} images; a teacher needs 4 or more (thousands, to be good)")
    bar = tqdm(paths, "photographs", unit="image", leave=False, disable=None)
    images = [without_excess(read_image(path), config.patch_size) for path in bar]
    order = torch.randperm(len(paths), generator=generator(config.seed, PHOTOGRAPH_SPLIT)).tolist()
    count = max(2, round(len(paths) * HELD_OUT_FRACTION))

    def sampler(indices: list[int]) -> PatchSampler:
        photographs = Photographs.pack([images[i] for i in indices], device)
        return PatchSampler(photographs, config.patch_size, config.zoom_cap, config.luminance)

    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    card = {"photographs": len(paths), "photographs_sha256": digest.hexdigest()}
    return sampler(order[count:]), sampler(order[:count]), card


def _descriptor_network(config: TeacherConfig, device: "torch.device") -> "DescriptorNetwork | None":
    import torch

    from train.descriptor import DescriptorNetwork

    if not config.distillation:
        return None
    weights = Path(config.descriptor_weights) if config.descriptor_weights else None
    network = DescriptorNetwork(config.descriptor, config.descriptor_input, weights)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


if __name__ == "__main__":
    cli.run(main)
