"""A teacher pretrained on natural photographs (*Uninformed Students*, CVPR 2020, section 3.1, equations 1 to 6)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.errors import InputError
from train.ahead import ahead
from train.card import teacher_name
from train.checks import check_data, check_finite, check_stop_after
from train.data import file_sha256
from train.dense_distillation import DenseDescriptor, DenseTeacher
from train.descriptor import Standardization
from train.device import autocast, compiled, resolve_device, resolve_precision
from train.ensemble import teacher_path
from train.files import load_checkpoint, save_checkpoint, save_network
from train.held_out import CHUNK, CHUNK_OF_VIEWS, described, measure_triplets, unexplained_variance
from train.linear_decoder import LinearDecoder
from train.losses import compactness_loss, distillation_loss, triplet_loss
from train.networks import DESCRIPTOR_SIZE
from train.options import TeacherConfig
from train.patches import Draw
from train.photographs import read_photographs
from train.progress import Progress
from train.run_folder import RunFolder
from train.schedule import learning_rate
from train.seeds import TEACHER_HELD_OUT, TEACHER_STEP, generator
from train.teacher_networks import descriptor_network, first_teacher

HELD_OUT_PATCHES, HELD_OUT_VIEWS = 2048, 96  # a view has hundreds of positions
HELD_OUT_TRIPLETS = 1024
STANDARDIZATION_PATCHES, STANDARDIZATION_VIEWS = 4096, 256


def train_teacher(config: TeacherConfig, out: Path, stop_after: int | None = None) -> Path | None:
    """Train a teacher in the run folder `out`; None when `stop_after` steps end before it is done.

    Raises `InputError` for unusable data, weights or options.
    """
    check_data(config.data)
    check_stop_after(stop_after)
    if config.descriptor == "none" and config.distillation:
        config = replace(config, distillation=0.0)
    if not config.distillation and not config.triplet:
        raise InputError("distillation and triplet are both off, so a teacher has nothing to learn; set --triplet 1")
    device = resolve_device(config.device)
    config = replace(config, device=device, precision=resolve_precision(config.precision, device))
    folder = RunFolder(out)
    folder.check(config)  # before anything is put into a folder that is none of ours
    with folder.only_one():
        folder.check(config)
        training = _Training(config, folder)  # finds what is wrong with the data before anything is written
        folder.claim(config)
        return training.run(stop_after)


class _Training:
    """A teacher with its decoder D, optimizer and data."""

    def __init__(self, config: TeacherConfig, folder: Any) -> None:
        self.config, self.folder = config, folder
        self.device = torch.device(config.device)
        print(f"training a teacher of p = {config.patch_size} on {config.device} in {config.precision}")
        split = read_photographs(config, self.device)
        self.sampler, self.data_card = split.training, split.card
        self.start_card = {"start_sha256": file_sha256(teacher_path(config.start))} if config.start else {}
        torch.manual_seed(config.seed)
        self.teacher = first_teacher(config).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules: dict[str, nn.Module] = {"teacher": self.teacher}
        self.descriptor = descriptor_network(config, self.device)
        self.learner: nn.Module = self.teacher
        self.items, self.at_once, held_out = "patches", CHUNK, HELD_OUT_PATCHES
        if isinstance(self.descriptor, DenseDescriptor):
            self.learner = DenseTeacher(self.teacher, self.descriptor.grid)
            self.items, self.at_once, held_out = "views", CHUNK_OF_VIEWS, HELD_OUT_VIEWS
        self.held_out_patches = split.held_out.patches(held_out, generator(config.seed, TEACHER_HELD_OUT))
        if config.triplet:
            draw = generator(config.seed, TEACHER_HELD_OUT, 2)
            self.held_out_triplets = split.held_out.triplets(HELD_OUT_TRIPLETS, draw)
        if self.descriptor is not None:
            # the paper's decoder D: fully connected, from the teacher's 128 dimensions to P's
            self.modules["decoder"] = self.decoder = nn.Linear(DESCRIPTOR_SIZE, self.descriptor.size).to(self.device)
            self.standardization = self._standardization()
            self.held_out_target = self._targets(self.held_out_patches)
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = torch.optim.Adam(
            parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=config.device == "cuda" or None,  # one kernel for all tensors; the CPU's own loop rounds otherwise
        )
        self.checkpoint = folder.path / "checkpoint.safetensors"

    def run(self, stop_after: int | None) -> Path | None:
        """The training loop, from the checkpoint if there is one."""
        config, start = self.config, 0
        photographs = self.data_card["photographs_sha256"]
        if self.checkpoint.exists():
            progress = load_checkpoint(self.checkpoint, self.modules, {"adam": self.optimizer})
            start = progress["iteration"]
            if progress.get("photographs_sha256", photographs) != photographs:  # none in runs of earlier versions
                raise InputError(
                    f"the run {self.folder.path} was begun on other photographs than {config.data} holds; restore "
                    "them, or train in a new run folder"
                )
        end = config.iterations if stop_after is None else min(config.iterations, start + stop_after)
        self._choose_networks()
        waited, began = 0.0, time.monotonic()
        drawn = ahead(self._draw, range(start, end))
        bar = Progress(range(start, end), f"p{config.patch_size}", config.iterations, start=start, leave=True)
        for iteration in bar:
            losses, wait_s = self.step(iteration, drawn)
            waited += wait_s
            done = iteration + 1
            at_checkpoint = done % config.checkpoint_every == 0 or done == end
            if done % config.evaluate_every == 0 or done == end:
                values = losses()  # waits for the GPU, so that the time below is that of finished steps
                elapsed = time.monotonic() - began
                speed = {
                    f"{self.items}_per_second": round((done - start) * config.batch_size / elapsed, 1),
                    "share_waiting_for_data": round(waited / elapsed, 3),
                }
                measured = {**values, **self.held_out()}
                check_finite(measured, done, config.learning_rate)
                entry = {"iteration": done, **measured, **speed}
                self.folder.log(**entry)
                bar.show(**values)
                bar.write(", ".join(f"{k} {v:.4g}" for k, v in entry.items() if v is not None))
            elif at_checkpoint or bar.is_due():
                values = losses()
                check_finite(values, done, config.learning_rate)
                bar.show(**values)
            if at_checkpoint:
                state = {"iteration": done, "photographs_sha256": photographs}
                save_checkpoint(self.checkpoint, self.modules, {"adam": self.optimizer}, state)
        if end < config.iterations:
            return None
        path: Path = self.folder.path / f"teacher-p{config.patch_size}.safetensors"
        save_network(path, self.teacher, self._card(), half=config.half)
        return path

    def step(self, iteration: int, drawn: Iterator[Draw]) -> tuple[Any, float]:
        """One step, only queued on a GPU: a function that waits for its losses, and the seconds spent on data."""
        config = self.config
        began = time.monotonic()
        patches = self.sampler.read(next(drawn)).contiguous(memory_format=torch.channels_last)
        waited = time.monotonic() - began
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.learning_rate, config.schedule, iteration, config.iterations)
        with autocast(config.device, config.precision):
            descriptors = self.forward(patches)
        losses = self._losses(patches, descriptors.float())
        total = sum(losses.values())
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return lambda: {name: loss.item() for name, loss in losses.items()}, waited

    def _draw(self, iteration: int) -> Draw:
        """The patches of a step, still to be read."""
        config = self.config
        kind = self.sampler.draw_triplets if config.triplet else self.sampler.draw_patches
        draw = kind(config.batch_size, generator(config.seed, TEACHER_STEP, iteration))
        return draw.pinned() if config.device == "cuda" else draw

    def _choose_networks(self) -> None:
        """The networks as a step calls them: plain, or compiled for its batches."""
        self.forward: Callable[[Tensor], Tensor] = self.learner
        self.describe: Callable[[Tensor], Tensor] | None = self.descriptor
        if not self.config.compile:
            return
        patches = self.sampler.read(self._draw(0)).contiguous(memory_format=torch.channels_last)
        with autocast(self.config.device, self.config.precision):
            self.forward = compiled(self.learner, patches, "the teacher")
            if self.descriptor is not None:
                with torch.no_grad():  # as it runs
                    anchors = patches[: min(self.config.batch_size, self.at_once)]
                    self.describe = compiled(self.descriptor, anchors, "the descriptor network")

    def _losses(self, patches: Tensor, descriptors: Tensor) -> dict[str, Any]:
        """Equation 6, term by term, weighted."""
        config, losses = self.config, {}
        anchors = descriptors.chunk(3)[0] if config.triplet else descriptors
        if config.distillation:
            target = self._targets(patches[: config.batch_size], self.describe)
            losses["distillation"] = config.distillation * distillation_loss(self.decoder(anchors), target)
        if config.triplet:
            anchor, positive, negative = descriptors.chunk(3)
            losses["triplet"] = config.triplet * triplet_loss(anchor, positive, negative, config.margin)
        if config.compactness:
            form: Any = config.compactness_form
            losses["compactness"] = config.compactness * compactness_loss(anchors, form)
        return losses

    def held_out(self) -> dict[str, float | None]:
        """What the log and the card say of photographs never trained on; None for a loss that is off.

        The error is the share of the variance of P's output that D(T(p)) leaves unexplained.
        """
        error, triplets = None, None
        if self.descriptor is not None:
            with torch.no_grad():
                decoded = self.decoder(described(self.learner, self.held_out_patches, self.at_once))
            error = unexplained_variance(decoded, self.held_out_target)
        if self.config.triplet:
            triplets = measure_triplets(self.teacher, self.held_out_triplets, self.config.margin)
        return {
            "held_out_error": error,
            "held_out_triplet_loss": triplets.loss if triplets else None,
            "held_out_triplets_confused": triplets.confused if triplets else None,
        }

    def _targets(self, patches: Tensor, describe: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        described = self._described(patches, describe)
        return self.standardization(described) if self.standardization is not None else described

    def _described(self, patches: Tensor, describe: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        assert self.descriptor is not None
        with autocast(self.config.device, self.config.precision):
            patches = patches.contiguous(memory_format=torch.channels_last)
            return described(describe or self.descriptor, patches, self.at_once)

    def _standardization(self) -> Standardization | None:
        """Of P's output over photographs trained on.

        A training on views, or one that begins with a teacher, has the best D for these from its first step on.
        """
        fitted = self.config.dense is not None or self.config.start is not None
        if not (self.config.standardize or fitted):
            return None
        count = STANDARDIZATION_PATCHES if self.config.dense is None else STANDARDIZATION_VIEWS
        drawn = self.sampler.draw_patches(count, generator(self.config.seed, TEACHER_HELD_OUT, 1))
        outputs, learnt = [], []
        for part in drawn.parts(self.at_once):
            patches = self.sampler.read(part)
            outputs.append(self._described(patches))
            if fitted:
                learnt.append(described(self.learner, patches, self.at_once))
        targets = torch.cat(outputs)
        standardization = Standardization.of(targets) if self.config.standardize else None
        if fitted:
            targets = standardization(targets) if standardization is not None else targets
            LinearDecoder.fit(torch.cat(learnt), targets).fill(self.decoder)
        return standardization

    def _card(self) -> dict[str, object]:
        """What a teacher's file says of itself. Paths are left out: they mean nothing elsewhere."""
        options = {k: v for k, v in asdict(self.config).items() if k not in ("data", "descriptor_weights")}
        if self.config.start is not None:
            options["start"] = teacher_name(teacher_path(self.config.start))
        return {"options": options, **self.start_card, **self.held_out(), **self.data_card}
