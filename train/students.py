"""``python -m train.students``: train students to imitate teachers on good images (paper, section 3.2, eq. 7)."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import cli
from runtime.errors import InputError
from train.config import add_options, option, resolve

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from train.data import PreparedImages, Split
    from train.dense import Window
    from train.ensemble import Standardized
    from train.networks import PatchNetwork
    from train.run_folder import RunFolder

# a dimension that hardly varies over the good images would turn rounding into anomalies when it is divided by
DEVIATION_FLOOR = 1e-2  # of the mean deviation of all dimensions
LOG_EVERY = 50  # steps
MEANS_LOSS = 128  # of students that predict the mean: one for each standardized dimension
CLOSE_TO_MEAN = 0.9  # share of the mean's loss from which students have learnt too little to tell a part from another


@dataclass(frozen=True)
class StudentsConfig:
    """Options of the students' training, the paper's by default, and all else that changes a score."""

    data: str = option("", "good images: a flat folder, or one in the MVTec AD layout")
    teachers: tuple[str, ...] = option(("p33",), "names of shipped teachers or files, one for each scale")
    students: int = option(3, "M, students of each scale")
    width: float | None = option(None, "share of the paper's channels in the students; none: their teacher's (ours)")
    separable: bool = option(False, "students of depthwise and 1×1 convolutions behind the first (ours)")
    size_hw: tuple[int, int] = option((256, 256), "height,width of the prepared frame in pixels")
    region_of_interest: tuple[int, int, int, int] | None = option(
        None, "top,left,height,width in the prepared frame that the score is taken from; none for all of it"
    )
    output_stride: int = option(1, "evaluate every s-th position when inspecting", (1, 2, 4, 8))
    relative: bool = option(False, "errors in relation to the descriptor's own size; the paper's are absolute (ours)")
    smoothing: float = option(0.0, "σ of a Gaussian over the map, pixels of the prepared frame; 0, the paper's: none")
    by_position: bool = option(
        False, "score and regions in deviations from what the good images show at each position (ours)"
    )
    score_pixels: int = option(1, "the score is the mean of so many highest values of the map")
    train_stride: int = option(1, "evaluate every s-th position when training, shifted at random", (1, 2, 4, 8))
    window: int | None = option(None, "side of a random window of positions for each step; none for all of them")
    epochs: int = option(100, "passes over the training images")
    steps: int | None = option(None, "training steps of each scale, in place of epochs")
    batch_size: int = option(1, "images a step")
    learning_rate: float = option(1e-4, "Adam's")
    schedule: str = option("constant", "of the learning rate; cosine ends at zero", ("constant", "cosine"))
    weight_decay: float = option(1e-5, "Adam's")
    holdout: float = option(0.2, "share of the images held out, a quarter for statistics, the rest for the threshold")
    seed: int = option(0, "of weights, order and shifts")
    checkpoint_every: int = option(200, "steps between two checkpoints")
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    precision: str = option("auto", "of the convolutions; auto: bf16 if the hardware has it", ("auto", "fp32", "bf16"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.students", description=__doc__)
    add_options(parser, StudentsConfig)
    parser.add_argument("--out", type=Path, required=True, help="run folder; an interrupted run in it goes on")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="do so many steps now, the rest another time")
    arguments = parser.parse_args()
    done = train_students(resolve(StudentsConfig, arguments), arguments.out, arguments.stop_after)
    print(f"students written to {arguments.out}" if done else "stopped early; the same command goes on")


def train_students(config: StudentsConfig, out: Path, stop_after: int | None = None) -> bool:
    """Train all scales in the run folder `out`; False when `stop_after` steps end before they are done.

    Raises `InputError` for unusable images, teachers or options.
    """
    from train.checks import check_data, check_no_images_added, check_stop_after, check_students, check_teacher_files
    from train.data import PreparedImages, Split
    from train.device import resolve_device, resolve_precision
    from train.run_folder import RunFolder

    check_data(config.data)
    check_students(config)
    check_stop_after(stop_after)
    device = resolve_device(config.device)
    config = replace(config, device=device, precision=resolve_precision(config.precision, device))
    folder = RunFolder(out)
    folder.check(config)
    if folder.split_path.exists():
        split = Split.load(folder.split_path)
        check_no_images_added(Path(config.data), split, out)
        if len(list(out.glob("teacher-p*.safetensors"))) < len(config.teachers):  # else the run has its own of each
            check_teacher_files(config)
    else:
        split = _checked_split(config)
        folder.claim(config)
        split.save(folder.split_path)
    training = PreparedImages(split.training, config.size_hw)
    print(f"training on {device} in {config.precision}: {split.counts['training']} images, {split.counts} in all")
    left = stop_after
    for scale, teacher in enumerate(config.teachers):
        done, left = _ScaleTraining(config, folder, training, scale, teacher).run(left)
        if not done:
            return False
    return True


def _checked_split(config: StudentsConfig) -> "Split":
    """The images by use; teachers and images are all read once, so that nothing bad is found after hours of training,
    or leaves a run folder behind. Suspect images are printed, and stop nothing."""
    from train.checks import check_teacher_files
    from train.data import PreparedImages, good_images, split_by_content
    from train.inspection import Inspector

    check_teacher_files(config)
    paths = good_images(Path(config.data))
    inspector = Inspector()
    PreparedImages(paths, config.size_hw).check(inspector.add)
    split = split_by_content(paths, config.holdout)
    report = inspector.report()
    if warnings := report.warnings():
        print("\n".join(f"warning: {line}" for line in warnings))
    if report.suspects:
        print(f"To see them: python -m benchmarks.inspect {config.data} --sheet suspects.png")
    return split


def new_students(config: StudentsConfig, teacher: "PatchNetwork") -> "Iterator[PatchNetwork]":
    """The students of a teacher's scale before their first step: their weights are a function of the seed."""
    import torch

    from train.networks import PatchNetwork
    from train.seeds import STUDENT_WEIGHTS, generator

    width = teacher.width if config.width is None else config.width
    for index in range(config.students):
        torch.manual_seed(generator(config.seed, STUDENT_WEIGHTS, teacher.patch_size, index).initial_seed())
        yield PatchNetwork(teacher.patch_size, width, config.separable)


class _ScaleTraining:
    """One scale: a teacher, its M students, and their optimizer."""

    def __init__(
        self, config: StudentsConfig, folder: "RunFolder", images: "PreparedImages", scale: int, teacher: str
    ) -> None:
        import torch

        from train.ensemble import channels_last

        self.config, self.folder, self.images, self.scale = config, folder, images, scale
        self.device = torch.device(config.device)
        self.teacher = self._standardized_teacher(teacher)
        self.patch_size = self.teacher.network.patch_size
        self.students = [student.to(self.device) for student in new_students(config, self.teacher.network)]
        for network in (self.teacher.network, *self.students):
            channels_last(network)
        # Adam keeps to each weight by itself, so one optimizer trains the students as M would
        parameters = [p for student in self.students for p in student.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.checkpoint = folder.path / f"checkpoint-p{self.patch_size}.safetensors"
        self.steps = config.steps or config.epochs * -(-len(images) // config.batch_size)

    def run(self, stop_after: int | None) -> tuple[bool, int | None]:
        """Train from the checkpoint if there is one; whether the scale is done, and the steps left of `stop_after`."""
        from tqdm import tqdm

        from train.checks import check_finite
        from train.ensemble import student_path
        from train.files import load_checkpoint, save_checkpoint, save_network

        paths = [student_path(self.folder.path, self.patch_size, i) for i in range(len(self.students))]
        if all(path.exists() for path in paths):
            return True, stop_after
        modules = {f"student{i}": student for i, student in enumerate(self.students)}
        start = 0
        if self.checkpoint.exists():
            start = load_checkpoint(self.checkpoint, modules, {"adam": self.optimizer})["step"]
        end = self.steps if stop_after is None else min(self.steps, start + stop_after)
        bar = tqdm(range(start, end), f"p{self.patch_size}", self.steps, initial=start, unit="step", disable=None)
        for step in bar:
            loss = self.step(step)
            done = step + 1
            at_checkpoint = done % self.config.checkpoint_every == 0 or done == end
            if done % LOG_EVERY == 0 or at_checkpoint:
                value = loss.item()
                check_finite({"loss": value}, done, self.config.learning_rate)
            if done % LOG_EVERY == 0 or done == end:
                self.folder.log(scale=self.patch_size, step=done, loss=value)
                bar.set_postfix(loss=f"{value:.3g}")
            if at_checkpoint:
                save_checkpoint(self.checkpoint, modules, {"adam": self.optimizer}, {"step": done})
        if end < self.steps:
            return False, 0
        for path, student in zip(paths, self.students, strict=True):
            save_network(path, student, {"steps": self.steps, "loss": value if start < end else None})
        self.checkpoint.unlink()
        if start < end:
            self._say_how_it_ended(value)
        return True, None if stop_after is None else stop_after - (end - start)

    def _say_how_it_ended(self, loss: float) -> None:
        print(f"p{self.patch_size}: last loss {loss:.3g}; predicting the mean would give {MEANS_LOSS}")
        if loss >= CLOSE_TO_MEAN * MEANS_LOSS:
            better = (
                "no better" if loss >= MEANS_LOSS else f"hardly better ({100 * loss / MEANS_LOSS:.0f} % of its loss)"
            )
            print(
                f"warning: the students of p = {self.patch_size} predict {better} than the mean; give them more "
                f"--steps or another --learning-rate than {self.config.learning_rate:g}"
            )

    def step(self, step: int) -> "Tensor":
        """One step of all students; returns their mean loss (equation 7, a sum over 128 dimensions)."""
        import torch

        from train.dense import descriptors_in_window, reflect_padded
        from train.device import autocast
        from train.ensemble import pixels_from_frames
        from train.losses import student_loss
        from train.schedule import learning_rate

        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.learning_rate, config.schedule, step, self.steps)
        frames = torch.stack([torch.from_numpy(self.images[i]) for i in self._batch(step)]).to(self.device)
        padded = reflect_padded(self.teacher.network.layers, pixels_from_frames(frames), 1)
        padded = padded.contiguous(memory_format=torch.channels_last)
        window = self._window(step)
        with autocast(config.device, config.precision):
            with torch.no_grad():
                target = descriptors_in_window(self.teacher.network, padded, window, config.train_stride)
            found = [descriptors_in_window(s, padded, window, config.train_stride) for s in self.students]
        target = self.teacher.standardize(target.float())
        loss = torch.stack([student_loss(descriptors.float(), target) for descriptors in found]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach() / len(self.students)

    def _batch(self, step: int) -> Iterator[int]:
        """Images of a step: every epoch is a permutation of its own."""
        import torch

        from train.seeds import STUDENT_ORDER, generator

        count = len(self.images)
        for position in range(step * self.config.batch_size, (step + 1) * self.config.batch_size):
            draw = generator(self.config.seed, STUDENT_ORDER, position // count)
            yield int(torch.randperm(count, generator=draw)[position % count])

    def _window(self, step: int) -> "Window":
        """The positions of a step: of the whole map or a random window of it, from a random shift in [0, s)² on.

        The shift makes every position as likely as the others. A window may reach half its size over the border and is
        pushed back in: a border as wide as the window is seen as often as the middle on the whole, and where reflection
        makes the hardest pixels, at its very edge, still half as often.
        """
        import torch

        from train.dense import Window
        from train.seeds import STUDENT_STEP, generator

        draw = generator(self.config.seed, STUDENT_STEP, self.patch_size, step)
        (height, width), side = self.config.size_hw, self.config.window
        down, right = (int(v) for v in torch.randint(self.config.train_stride, (2,), generator=draw))
        if side is None:
            return Window(down, right, height - down, width - right)
        starts = []
        for length in (height, width):
            start = int(torch.randint(-(side // 2), length - side // 2 + 1, (1,), generator=draw))
            starts.append(min(max(start, 0), length - side))
        return Window(starts[0] + down, starts[1] + right, side - down, side - right)

    def _standardized_teacher(self, name: str) -> "Standardized":
        """The teacher with its descriptors' statistics, from the run folder or computed now and kept there."""
        from train.data import file_sha256
        from train.ensemble import Standardized, teacher_path
        from train.files import load_network, save_network

        kept = next((p for p in self.folder.path.glob("teacher-p*.safetensors") if self._is_from(p)), None)
        if kept is not None:
            network, _, beside = load_network(kept)
            mean, deviation = beside["mean"], beside["deviation"]
        else:
            source = teacher_path(name)
            network, card, _ = load_network(source)
            card = {**card, "teacher_sha256": file_sha256(source), "scale": self.scale}
            path = self.folder.path / f"teacher-p{network.patch_size}.safetensors"
            if path.exists():
                raise InputError(
                    f"{source} is a teacher of p = {network.patch_size}, and {self.folder.path} has one of another "
                    "scale; restore the file that the run was begun with"
                )
            mean, deviation = self._descriptor_statistics(network)
            save_network(path, network, card, beside={"mean": mean, "deviation": deviation})
        network.eval().requires_grad_(False)
        return Standardized(network, mean, deviation).to(self.device)

    def _is_from(self, path: Path) -> bool:
        from train.files import load_network

        return bool(load_network(path)[1].get("scale") == self.scale)

    def _descriptor_statistics(self, network: "PatchNetwork") -> "tuple[torch.Tensor, torch.Tensor]":
        """Mean and deviation [128] of the teacher's descriptors over the training images, summed in float64.

        Every train_stride-th position is taken, the whole map at stride 1.
        """
        import torch
        from tqdm import tqdm

        from train.dense import dense_descriptors
        from train.device import autocast
        from train.ensemble import channels_last, pixels_from_frames

        network.eval().requires_grad_(False).to(self.device)
        channels_last(network)
        total = torch.zeros(2, 128, dtype=torch.float64)
        count = 0
        bar = tqdm(
            range(len(self.images)), f"p{network.patch_size} statistics", unit="image", disable=None, leave=False
        )
        for index in bar:
            pixels = pixels_from_frames(torch.from_numpy(self.images[index])[None].to(self.device))
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            with autocast(self.config.device, self.config.precision):
                descriptors = dense_descriptors(network, pixels, self.config.train_stride, "atrous")
            descriptors = descriptors.double().flatten(2)
            total += torch.stack([descriptors.sum(dim=(0, 2)), descriptors.square().sum(dim=(0, 2))]).cpu()
            count += descriptors.shape[0] * descriptors.shape[2]
        mean, square = total / count
        if not bool(total.isfinite().all()):
            raise InputError(
                f"the teacher of p = {network.patch_size} gives descriptors that are not finite; make its file again, "
                "or name another in a new run folder"
            )
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        floor = DEVIATION_FLOOR * float(deviation.mean())
        floored = int((deviation < floor).sum())
        self.folder.log(scale=network.patch_size, descriptors=count, floored_dimensions=floored)
        if floored:
            print(
                f"p{network.patch_size}: {floored} of 128 descriptor dimensions hardly vary; their deviation is floored"
            )
        return mean.float(), deviation.clamp(min=max(floor, 1e-12)).float()


if __name__ == "__main__":
    cli.run(main)
