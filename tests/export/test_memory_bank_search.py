"""The nearest member by groups: the same as by all at once, and never one of the rows that fill the last group."""

import numpy as np
import pytest
import torch

from export.graphs.memory_bank import GROUP, MemoryBankEvidence, least
from train.backbones import load_backbone
from train.backbones.features import Features


@pytest.mark.parametrize("groups", [1, 3])
def test_the_least_of_each_row_is_found_wherever_it_stands(groups: int) -> None:
    count = groups * GROUP
    rows = torch.rand(count, count) + 1
    rows[torch.arange(count), torch.arange(count)] = 0.5
    assert least(rows).tolist() == list(range(count))


def test_of_equal_ones_the_first_is_found() -> None:
    rows = torch.ones(1, 3 * GROUP)
    rows[0, [GROUP + 5, GROUP + 9, 2 * GROUP]] = 0
    assert least(rows).tolist() == [GROUP + 5]


def test_what_fills_the_last_group_is_nearest_to_nothing() -> None:
    features = Features(load_backbone("efficientnet-lite0"), ("group3",), ())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 40))).float()
    found = features(pixels.flip(1) / 255)[0].permute(0, 2, 3, 1).flatten(0, 2)
    away = 1e3 * torch.randn((GROUP + 3) // 2 + 1, features.dimensions)
    bank = found.mean(dim=0) + torch.cat([away, -away])  # what is looked for lies at the mean, and no member there
    graph = MemoryBankEvidence(features, bank, half=False)
    assert graph.bank.shape == (2 * GROUP, features.dimensions) > bank.shape
    with torch.no_grad():
        evidence, _ = graph(pixels)
    expected = torch.cdist(found.double(), bank.double()).amin(dim=1).view(evidence.shape)
    torch.testing.assert_close(evidence.double(), expected, rtol=1e-4, atol=0)
