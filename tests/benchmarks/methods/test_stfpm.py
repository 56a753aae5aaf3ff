"""STFPM's loss and map against their formulas, and a student that learns its teacher."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from benchmarks.methods.base import Frames, Setting, as_pixels
from benchmarks.methods.features import ResNetStages
from benchmarks.methods.stfpm import FeaturePyramidMatching, Options, StudentStages, level_distances, make, pyramid_loss
from runtime.errors import InputError

LAYERS = ("layer1", "layer2", "layer3")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """With a ResNet-18 of random weights as the teacher."""
    path = tmp_path_factory.mktemp("weights") / "p.safetensors"
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return Setting(backbone="resnet18-layer23", weights=path)


def test_the_loss_is_half_the_squared_distance_of_unit_vectors() -> None:
    draw = np.random.default_rng(0)
    levels = [(draw.normal(size=(2, 5, 3, 4)), draw.normal(size=(2, 5, 3, 4))) for _ in range(2)]
    expected = 0.0
    for t, s in levels:
        cosines = (t * s).sum(axis=1) / np.linalg.norm(t, axis=1) / np.linalg.norm(s, axis=1)
        expected += (1 - cosines).mean()  # ½‖a − b‖² of unit vectors is 1 − a·b
    teacher, student = [torch.tensor(t) for t, _ in levels], [torch.tensor(s) for _, s in levels]
    assert float(pyramid_loss(teacher, student)) == pytest.approx(expected, rel=1e-9)
    longer = [3 * x for x in student]  # lengths do not matter
    assert float(pyramid_loss(teacher, longer)) == pytest.approx(expected, rel=1e-9)


def test_equal_networks_have_no_distance_anywhere(good: Frames, setting: Setting) -> None:
    teacher, student = ResNetStages(setting), StudentStages(LAYERS)
    student.network.load_state_dict(teacher.network.backbone.state_dict(), strict=False)
    with torch.no_grad():
        found = student.eval()(as_pixels(good[:2], "cpu"))
    wanted = teacher(good[:2], LAYERS)
    assert [tuple(x.shape) for x in found] == [(2, 64, 8, 8), (2, 128, 4, 4), (2, 256, 2, 2)]
    assert max(float(x.max()) for x in level_distances(wanted, found)) < 1e-10


def test_the_student_comes_nearer_to_its_teacher_with_more_steps(good: Frames, setting: Setting) -> None:
    losses = []
    for steps in (1, 15):
        method = make(Options(steps=steps, batch_size=4, learning_rate=0.1), setting)
        assert isinstance(method, FeaturePyramidMatching)
        method.fit(good)
        with torch.no_grad():
            found = method.student.train()(as_pixels(good, "cpu"))  # statistics of the batch: few steps suffice
        losses.append(float(pyramid_loss(ResNetStages(setting)(good, LAYERS), found)))
    assert losses[1] < 0.5 * losses[0]


def test_the_map_is_the_product_of_the_levels(good: Frames, planted: Frames, setting: Setting) -> None:
    method = make(Options(steps=2, batch_size=2), setting)
    assert isinstance(method, FeaturePyramidMatching)
    method.fit(good)
    found = method.inspect(planted[:1])
    assert found.maps is not None
    with torch.no_grad():
        student = method.student(as_pixels(planted[:1], "cpu"))
    levels = level_distances(ResNetStages(setting)(planted[:1], LAYERS), student)
    corner = np.prod([float(level[0, 0, 0]) for level in levels])  # the corner pixel is each level's corner cell
    assert found.maps[0, 0, 0] == pytest.approx(corner, rel=1e-3)
    assert found.scores[0] == found.maps[0].max()


def test_a_stage_that_the_backbone_lacks_is_refused(setting: Setting) -> None:
    with pytest.raises(InputError, match="resnet18-layer23 has no 'layer4'; choose among layer1, layer2, layer3"):
        make(Options(layers=("layer4",)), setting)


def test_a_training_that_diverges_is_refused(good: Frames, setting: Setting) -> None:
    def never(*_: Any) -> Any:
        return NoNumber()

    with pytest.raises(InputError, match="stfpm diverged: its last loss is nan; use a smaller learning rate"):
        FeaturePyramidMatching(ResNetStages(setting), never, Options(steps=1, batch_size=2), 0).fit(good)


class NoNumber(torch.nn.Module):
    """A student whose features are no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(torch.nan))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        sides = [-(-pixels.shape[2] // shrink) for shrink in (4, 8, 16)]
        return [self.weight * pixels.new_ones(len(pixels), c, s, s) for c, s in zip((64, 128, 256), sides, strict=True)]
