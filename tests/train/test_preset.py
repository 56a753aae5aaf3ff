"""Presets: their names and those of before, the method of each, and the options that they come to."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.errors import InputError
from train import __main__ as command
from train import preset
from train.config import configured, given_options
from train.method import METHODS, loaded
from train.options import MemoryBankConfig, StudentsConfig
from train.preset import AUTO, chosen, configuration, method_of, preset_names, presets_of, read_preset

CPU = {"device": "cpu"}
ROOT = Path(__file__).parents[2]


def test_the_presets_are_those_of_three_methods() -> None:
    assert preset_names() == ["accurate", "edge", "fast", "imitation", "paper", "students"]
    assert [each.name for each in presets_of("memory-bank")] == ["accurate", "edge", "fast"]
    assert [each.name for each in presets_of("students")] == ["paper", "students"]
    assert [each.name for each in presets_of("backbone-students")] == ["imitation"]


@pytest.mark.parametrize("name", ["accurate", "edge", "fast", "imitation", "paper", "students"])
def test_each_preset_is_options_of_its_method(name: str) -> None:
    found = read_preset(name)
    assert "method" not in found.options
    config = configured(loaded(METHODS[found.method].options), found.options)
    assert config.METHOD == method_of(name, None) == found.method
    assert configuration(name, found.method, {}) == config


def test_a_name_of_before_is_the_preset_that_took_its_place_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_preset("balanced") == read_preset("accurate")
    said = "preset balanced is now accurate; the old name goes with the next version\n"
    assert capsys.readouterr().out == said
    assert method_of("balanced", None) == "memory-bank"


@pytest.mark.parametrize(
    "call", [read_preset, lambda name: method_of(name, None), lambda name: chosen(name, "students")]
)
def test_a_name_that_is_none_is_refused_with_those_that_are(call: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match="preset 'quick' is none of accurate, edge, fast, imitation, paper, students"):
        call("quick")


def test_a_preset_says_the_method_and_without_one_it_is_the_presets_that_auto_takes() -> None:
    assert method_of(AUTO, None) == "memory-bank"
    assert method_of(AUTO, "students") == "students"
    assert method_of("edge", None) == method_of("edge", "memory-bank") == "memory-bank"
    assert method_of("students", None) == method_of("paper", "students") == "students"


@pytest.mark.parametrize(("name", "method"), [("edge", "students"), ("paper", "memory-bank")])
def test_a_preset_and_another_method_are_a_contradiction(name: str, method: str) -> None:
    own = read_preset(name).method
    message = f"preset {name} is of the method {own}, not of {method}; leave out one of both"
    for call in (lambda: method_of(name, method), lambda: configuration(name, method, {})):
        with pytest.raises(InputError, match=message):
            call()


def test_auto_is_edge_on_a_cpu_accurate_on_a_gpu_and_students_for_students(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpu, name in ((False, "edge"), (True, "accurate")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert chosen(AUTO, "memory-bank").name == name
        assert chosen(AUTO, "memory-bank", "cpu").name == "edge"
        assert chosen(AUTO, "students").name == "students"
        assert chosen(AUTO, "backbone-students").name == "imitation"
    assert configuration(AUTO, "memory-bank", CPU) == configuration("edge", "memory-bank", CPU)


def test_the_presets_that_auto_takes_are_of_one_method() -> None:
    assert read_preset(preset.ON_CPU).method == read_preset(preset.ON_GPU).method
    assert {read_preset(name).method: name for name in preset.OF_METHOD.values()} == preset.OF_METHOD


def test_options_stand_over_the_preset_and_the_preset_over_the_defaults() -> None:
    config = configuration("fast", "memory-bank", {"coreset": "77"})
    assert isinstance(config, MemoryBankConfig)
    assert (config.coreset, config.backbone) == (77, read_preset("fast").options["backbone"])
    assert (config.seed, config.side) == (MemoryBankConfig().seed, read_preset("fast").options["side"])
    with pytest.raises(InputError, match="unknown option teachers; known are data, backbone"):
        configuration("fast", "memory-bank", {"teachers": "p33"})


def test_a_side_that_is_given_replaces_a_presets_size_and_a_size_its_side() -> None:
    paper = configuration("paper", "students", {})
    assert isinstance(paper, StudentsConfig)
    assert paper.size_hw == (256, 256)
    other = configuration("paper", "students", {"side": "128"})
    assert (other.side, other.size_hw) == (128, None)
    assert configuration("paper", "students", {"side": "128", "size_hw": "64,96"}).size_hw == (64, 96)
    assert configuration("edge", "memory-bank", {"size_hw": "64,96"}).frame_hw == (64, 96)


def test_epochs_that_are_given_replace_a_presets_steps_and_steps_its_epochs() -> None:
    preset = configuration("students", "students", {})
    assert isinstance(preset, StudentsConfig)
    assert preset.steps is not None
    epochs = configuration("students", "students", {"epochs": "2"})
    assert (epochs.epochs, epochs.steps) == (2, None)
    assert configuration("students", "students", {"epochs": "2", "steps": "30"}).steps == 30
    assert configuration("paper", "students", {"steps": "30"}).steps == 30


def trainings_of_the_pages() -> list[str]:
    """The options of each ``python -m train`` that a page names with some."""
    pages = (ROOT / "README.md", ROOT / "train" / "README.md", ROOT / "train" / "teachers" / "README.md")
    found = [re.findall(r"`python\s-m\strain\s([^`]+)`", page.read_text()) for page in pages]
    return sorted({" ".join(words.split()) for each in found for words in each if "--help" not in words})


@pytest.mark.parametrize("words", trainings_of_the_pages())
def test_a_training_that_a_page_names_has_options_of_its_method(words: str) -> None:
    preset_name, method = command._preset_and_method(words.split())
    options = loaded(METHODS[method].options)
    arguments = command._parser(options).parse_args(words.split())
    config = configuration(preset_name, method, {**given_options(options, arguments), **CPU})
    assert method == config.METHOD
