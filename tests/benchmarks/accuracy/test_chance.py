"""What random scores reach, against random scores."""

import numpy as np
import pytest

from benchmarks.accuracy.chance import AU_PRO_30, auroc_at_random
from calibration.metrics import au_pro, auroc


@pytest.mark.parametrize(("good", "defective"), [(8, 30), (20, 20), (60, 192)])
def test_one_random_set_in_forty_has_a_higher_auroc(good: int, defective: int) -> None:
    draw, labels = np.random.default_rng(13), np.arange(good + defective) >= good
    above = [auroc(draw.random(good + defective), labels) > auroc_at_random(good, defective) for _ in range(3000)]
    assert np.mean(above) == pytest.approx(0.025, abs=0.009)


def test_few_images_cannot_tell() -> None:
    assert auroc_at_random(1, 1) > 1
    assert auroc_at_random(2, 3) > 1


def test_a_random_map_has_the_au_pro_of_chance() -> None:
    draw, masks = np.random.default_rng(13), [np.zeros((64, 64), bool) for _ in range(20)]
    for index, mask in enumerate(masks):
        mask[index : index + 12, 8:40] = True
    maps = [draw.random((64, 64), np.float32) for _ in masks]
    assert au_pro(maps, masks, 0.3) == pytest.approx(AU_PRO_30, abs=0.01)
