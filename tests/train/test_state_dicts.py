"""State dicts are read without running code in them, and anything else is refused in one sentence."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import InputError
from train.state_dicts import read_state

WANTED = "the weights of torchvision's ResNet-18"


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_the_tensors_of_a_file_are_those_that_were_saved(tmp_path: Path, name: str) -> None:
    weight, path = torch.arange(6.0).reshape(2, 3), tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)({"conv1.weight": weight}, path)
    assert torch.equal(read_state(path, WANTED)["conv1.weight"], weight)


def test_a_missing_file_is_asked_for_by_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pth is not a file; give the weights of torchvision's ResNet-18"):
        read_state(tmp_path / "gone.pth", WANTED)


class Harmful:
    """A pickle of it would write a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "it ran"
    torch.save({"conv1.weight": Harmful(trace)}, path)
    with pytest.raises(InputError, match=r"is a pickle that could run code; refused\. Convert it to safetensors"):
        read_state(path, WANTED)
    path.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(InputError, match="is a pickle that could run code; refused"):
        read_state(path, WANTED)
    assert not trace.exists()


NO_TENSORS = "is neither safetensors nor a plain PyTorch state dict, or it is damaged; give the weights of torchvision"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.safetensors", b"junk"),
        ("b.pth", b""),
        ("c.pth", b"PK\3\4"),
        ("d.pth", b"hello, this is a text\n"),
        ("e.pth", b"                                 Apache License\n"),
        ("f.pth", b"copyright (c) 2026\nall rights reserved\n"),  # as a pickle it would name a function
        ("g.pth", b"junk"),
    ],
)
def test_a_file_that_holds_no_tensors_is_refused_and_of_text_nobody_says_that_it_runs(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=NO_TENSORS):
        read_state(tmp_path / name, WANTED)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_damaged_state_dict_is_refused_in_one_sentence(tmp_path: Path, is_zip: bool) -> None:
    path, random = tmp_path / "a.pth", np.random.default_rng(0)
    torch.save({"w": torch.zeros(20)}, path, _use_new_zipfile_serialization=is_zip)
    whole, refused = np.frombuffer(path.read_bytes(), np.uint8), 0
    for number in range(300):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes() if number % 2 else whole[: random.integers(len(whole))].tobytes())
        try:
            read_state(path, WANTED)  # where bytes of a tensor changed, it is read
        except InputError:
            refused += 1
    assert refused >= 150
