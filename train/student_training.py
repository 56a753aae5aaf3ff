"""Students trained to imitate teachers on good images (*Uninformed Students*, CVPR 2020, section 3.2, equation 7)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from runtime.errors import InputError
from train.alignment import alignment_of_run
from train.checks import check_teacher_files
from train.claim import claimed_split
from train.data import PreparedImages, file_sha256, split_by_content
from train.dense import Window, dense_descriptors, descriptors_in_window, reflect_padded
from train.device import autocast
from train.ensemble import Standardized, channels_last, pixels_from_frames, student_path, teacher_path
from train.files import load_network, save_network
from train.losses import student_loss
from train.networks import PatchNetwork
from train.options import StudentsConfig
from train.progress import Progress
from train.run_folder import RunFolder
from train.schedule import learning_rate
from train.seeds import STUDENT_STEP, STUDENT_WEIGHTS, generator
from train.steps import Steps
from train.trainings import DEVIATION_FLOOR, begun, images_of_step, say_begun

MEANS_LOSS = 128  # of students that predict the mean: one for each standardized dimension
CLOSE_TO_MEAN = 0.9  # share of the mean's loss from which students have learnt too little to tell a part from another


def train_students(config: StudentsConfig, out: Path, stop_after: int | None = None) -> bool:
    """Train all scales in the run folder `out`; False when `stop_after` steps end before they are done.

    Raises `InputError` for unusable images, teachers or options.
    """
    config, folder = begun(config, out, stop_after)
    with folder.only_one():
        return _train_scales(config, folder, stop_after)


def _train_scales(config: StudentsConfig, folder: RunFolder, stop_after: int | None) -> bool:
    """The training itself, of a run folder that is this process's alone."""
    began = folder.split_path.exists()
    by_content = partial(split_by_content, holdout=config.holdout)
    split = claimed_split(folder, config, by_content, lambda: check_teacher_files(config))
    own = len(list(folder.path.glob("teacher-p*.safetensors"))) == len(config.teachers)
    if began and not own:  # it goes on with those that it was given
        check_teacher_files(config)
    training = PreparedImages(split.training, config.frame_hw, alignment_of_run(folder, config), config.seen)
    say_begun(config, split)
    left = stop_after
    for scale, teacher in enumerate(config.teachers):
        done, left = _ScaleTraining(config, folder, training, scale, teacher).run(left)
        if not done:
            return False
    return True


def new_students(config: StudentsConfig, teacher: PatchNetwork) -> Iterator[PatchNetwork]:
    """The students of a teacher's scale before their first step: their weights are a function of the seed."""
    width = teacher.width if config.width is None else config.width
    for index in range(config.students):
        torch.manual_seed(generator(config.seed, STUDENT_WEIGHTS, teacher.patch_size, index).initial_seed())
        yield PatchNetwork(teacher.patch_size, width, config.separable)


class _ScaleTraining:
    """One scale: a teacher, its M students, and their optimizer."""

    def __init__(
        self, config: StudentsConfig, folder: RunFolder, images: PreparedImages, scale: int, teacher: str
    ) -> None:
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
        paths = [student_path(self.folder.path, self.patch_size, i) for i in range(len(self.students))]
        if all(path.exists() for path in paths):
            return True, stop_after
        modules = {f"student{i}": student for i, student in enumerate(self.students)}
        start, end, loss = Steps(
            self.folder, f"p{self.patch_size}", self.checkpoint, modules, self.optimizer, self.steps,
            self.config.checkpoint_every, self.config.learning_rate, {"scale": self.patch_size},
        ).run(self.step, stop_after)  # fmt: skip
        if end < self.steps:
            return False, 0
        for path, student in zip(paths, self.students, strict=True):
            save_network(path, student, {"steps": self.steps, "loss": loss})
        self.checkpoint.unlink()
        if loss is not None:
            self._say_how_it_ended(loss)
        return True, None if stop_after is None else stop_after - (end - start)

    def _say_how_it_ended(self, loss: float) -> None:
        print(f"p{self.patch_size}: last loss {loss:.3g}; predicting the mean would give {MEANS_LOSS}")
        if loss >= CLOSE_TO_MEAN * MEANS_LOSS:
            better = "no better" if loss >= MEANS_LOSS else f"hardly better ({loss / MEANS_LOSS:.0%} of its loss)"
            print(
                f"warning: the students of p = {self.patch_size} predict {better} than the mean; give them more "
                f"--steps or another --learning-rate than {self.config.learning_rate:g}"
            )

    def step(self, step: int) -> Tensor:
        """One step of all students; returns their mean loss (equation 7, a sum over 128 dimensions)."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.learning_rate, config.schedule, step, self.steps)
        batch = images_of_step(step, config.batch_size, len(self.images), config.seed)
        frames = torch.stack([torch.from_numpy(self.images[i]) for i in batch]).to(self.device)
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

    def _window(self, step: int) -> Window:
        """The positions of a step: of the whole map or a random window of it, from a random shift in [0, s)² on.

        The shift makes every position as likely as the others. A window may reach half its size over the border and is
        pushed back in: a border as wide as the window is seen as often as the middle on the whole, and where reflection
        makes the hardest pixels, at its very edge, still half as often.
        """
        draw = generator(self.config.seed, STUDENT_STEP, self.patch_size, step)
        (height, width), side = self.config.frame_hw, self.config.window
        down, right = (int(v) for v in torch.randint(self.config.train_stride, (2,), generator=draw))
        if side is None:
            return Window(down, right, height - down, width - right)
        starts = []
        for length in (height, width):
            start = int(torch.randint(-(side // 2), length - side // 2 + 1, (1,), generator=draw))
            starts.append(min(max(start, 0), length - side))
        return Window(starts[0] + down, starts[1] + right, side - down, side - right)

    def _standardized_teacher(self, name: str) -> Standardized:
        """The teacher with its descriptors' statistics, from the run folder or computed now and kept there."""
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
        return bool(load_network(path)[1].get("scale") == self.scale)

    def _descriptor_statistics(self, network: PatchNetwork) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation [128] of the teacher's descriptors over the training images, summed in float64.

        Every train_stride-th position is taken, the whole map at stride 1.
        """
        network.eval().requires_grad_(False).to(self.device)
        channels_last(network)
        total = torch.zeros(2, 128, dtype=torch.float64)
        count = 0
        images = len(self.images)
        for index in Progress(range(images), f"p{network.patch_size} statistics", images, unit="image"):
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
