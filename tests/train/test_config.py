"""Configuration and files: defaults, a YAML file, the command line, and what each refuses."""

import argparse
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
import torch
from safetensors.torch import save, save_file

from runtime.errors import InputError
from runtime.scoring import Scoring
from runtime.typed import option
from train.config import add_options, as_mapping, as_yaml, configured, options_of, read_yaml, resolve
from train.files import load_checkpoint, load_network, save_checkpoint, save_network
from train.networks import PatchNetwork
from train.options import MemoryBankConfig, StudentsConfig, TeacherConfig
from train.run_folder import RunFolder
from train.schedule import learning_rate
from train.seeds import generator
from train.trainings import begun

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """One option of each kind."""

    name: str = option("a", "a name")
    count: int = option(3, "100 % a number")
    rate: float | None = option(None, "a rate or none")
    sides: tuple[int, int] = option((2, 3), "two numbers")
    names: tuple[str, ...] = option(("x",), "names")
    kind: str = option("one", "a choice", ("one", "two"))
    lit: bool = option(True, "a switch")


@dataclass(frozen=True)
class Group:
    """Options that are carried as one."""

    blur: float = option(0.0, "how much")
    place: tuple[int, int] | None = option(None, "where")


@dataclass(frozen=True)
class Grouped:
    """Options of which some are a group, with a default of its own."""

    METHOD: ClassVar[str] = "grouped"

    count: int = option(3, "a number")
    group: Group = field(default_factory=partial(Group, blur=4.0))


def parsed(*words: object) -> Options:
    return parsed_as(Options, *words)


def parsed_as(config: type[T], *words: object) -> T:
    parser = argparse.ArgumentParser()
    add_options(parser, config)
    return resolve(config, parser.parse_args([str(word) for word in words]))


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("count: 7\nsides: [5, 6]\nrate: 1e-4\n")
    found = parsed("--config", tmp_path / "c.yaml", "--count", 9, "--names", "p,q", "--lit", "no")
    assert found == Options(count=9, sides=(5, 6), rate=1e-4, names=("p", "q"), lit=False)
    assert parsed() == Options()
    assert parsed("--rate", "none", "--config", tmp_path / "c.yaml").rate is None


def test_what_the_command_line_says_in_other_words_wins_over_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("side: 256\nsize_hw: [64, 96]\nepochs: 100\nsteps: 30\n")
    assert parsed_as(StudentsConfig, "--config", file).size_hw == (64, 96)
    config = parsed_as(StudentsConfig, "--config", file, "--side", 128, "--epochs", 2)
    assert (config.side, config.size_hw, config.epochs, config.steps) == (128, None, 2, None)
    assert parsed_as(StudentsConfig, "--config", file, "--side", 128, "--size-hw", "32,48").size_hw == (32, 48)


def test_the_resolved_configuration_comes_back(tmp_path: Path) -> None:
    config = parsed("--rate", 0.25, "--sides", "8,9")
    (tmp_path / "again.yaml").write_text(as_yaml(as_mapping(config)))
    assert parsed("--config", tmp_path / "again.yaml") == config


def test_a_groups_options_stand_beside_the_others_and_keep_the_groups_own_defaults(tmp_path: Path) -> None:
    assert list(options_of(Grouped)) == ["count", "blur", "place"]
    assert parsed_as(Grouped) == Grouped() == Grouped(3, Group(4.0, None))
    assert parsed_as(Grouped, "--place", "5,6") == Grouped(3, Group(4.0, (5, 6)))
    (tmp_path / "c.yaml").write_text("place: [1, 2]\ncount: 7\n")
    assert parsed_as(Grouped, "--config", tmp_path / "c.yaml", "--blur", 0) == Grouped(7, Group(0.0, (1, 2)))
    assert as_mapping(Grouped()) == {"count": 3, "blur": 4.0, "place": None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"group": {"blur": 1}}, "unknown option group; known are count, blur, place"),
        ({"speed": 1, "blur": 1}, "unknown option speed; known are count, blur, place"),
        ({"blur": "much"}, "blur is 'much'; expected NUMBER"),
    ],
)
def test_a_group_has_no_name_outside_and_its_options_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        configured(Grouped, values)


def test_the_help_shows_the_defaults_of_the_group_where_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed_as(Grouped, "--help")
    assert "how much (default: 4.0)" in capsys.readouterr().out


def test_a_runs_own_options_serve_again_and_those_of_another_method_do_not(tmp_path: Path) -> None:
    config, folder = Grouped(9, Group(1.0, (1, 2))), RunFolder(tmp_path / "run")
    folder.claim(config)
    assert folder.method == "grouped"
    assert folder.config(Grouped) == config
    assert parsed_as(Grouped, "--config", folder.config_path) == config
    folder.config_path.write_text("method: other\n")
    with pytest.raises(InputError, match=r"config.yaml has options of the method other, not of grouped; see --method"):
        parsed_as(Grouped, "--config", folder.config_path)
    with pytest.raises(InputError, match="holds a run with method = other, this one has grouped; use the same options"):
        folder.check(config)


def test_a_run_from_before_a_group_or_a_method_had_a_name_is_the_same_run(tmp_path: Path) -> None:
    config = StudentsConfig(data="parts", size_hw=(256, 256), scoring=Scoring((1, 2, 30, 30), 2.0, True, 5))
    flat = as_mapping(config)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config_path.write_text(as_yaml(flat))  # neither a method nor a group, as they were written
    assert "method" not in flat
    folder.check(config)
    assert (folder.method, folder.config(StudentsConfig)) == ("students", config)
    for name in ("smoothing", "by_position", "score_pixels", "region_of_interest", "relative"):
        del flat[name]  # older still: each stands for its default
    folder.config_path.write_text(as_yaml(flat))
    assert folder.config(StudentsConfig) == replace(config, scoring=Scoring())
    folder.check(replace(config, scoring=Scoring()))
    with pytest.raises(InputError, match=r"holds a run with .* = .*, this one has "):
        folder.check(config)
    with pytest.raises(InputError, match="holds a run with method = students, this one has memory-bank"):
        folder.check(MemoryBankConfig(data="parts", size_hw=(256, 256)))


SETTINGS = ["--smoothing", 1.5, "--by-position", "yes", "--score-pixels", 9, "--region-of-interest", "1,2,30,31"]
SETTINGS += ["--size-hw", "64,64"]


@pytest.mark.parametrize("config", [StudentsConfig, MemoryBankConfig])
def test_every_method_takes_the_settings_of_its_score_as_flat_options(config: type[Any], tmp_path: Path) -> None:
    expected = Scoring((1, 2, 30, 31), 1.5, True, 9)
    assert parsed_as(config, *SETTINGS).scoring == expected
    text = "smoothing: 1.5\nby_position: true\nscore_pixels: 9\nregion_of_interest: [1, 2, 30, 31]\nsize_hw: [64, 64]\n"
    (tmp_path / "c.yaml").write_text(text)
    assert parsed_as(config, "--config", tmp_path / "c.yaml").scoring == expected


@pytest.mark.parametrize("config", [StudentsConfig, MemoryBankConfig])
def test_every_method_takes_the_settings_of_its_decision(config: type[Any]) -> None:
    scoring = parsed_as(config, "--mm-per-pixel", 0.08, "--smallest-area", 2.5).scoring
    assert (scoring.mm_per_pixel, scoring.smallest_area) == (0.08, 2.5)
    with pytest.raises(InputError, match="smallest_area is -1; expected 0 or more"):
        parsed_as(config, "--smallest-area", -1)


def test_a_memory_bank_is_smoothed_and_by_position_unless_it_is_told_otherwise() -> None:
    usual = Scoring(smoothing=4.0, by_position=True)
    assert parsed_as(MemoryBankConfig).scoring == usual
    assert parsed_as(MemoryBankConfig, "--score-pixels", 9).scoring == replace(usual, score_pixels=9)
    neither = ["--smoothing", 0, "--by-position", "no", "--image-evidence", "no"]
    assert parsed_as(MemoryBankConfig, *neither).scoring == Scoring()
    assert parsed_as(StudentsConfig).scoring == Scoring()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed: 3", "unknown option speed; known are name, count"),
        ("count: 2.5", "count is 2.5; expected INTEGER"),
        ("count: true", "count is True; expected INTEGER"),
        ("name: 5", "name is 5; expected TEXT"),
        ("rate: fast", r"rate is 'fast'; expected NUMBER\|none"),
        ("sides: [1, 2, 3]", r"sides is \[1, 2, 3\]; expected INTEGER,…"),
        ("kind: three", "kind is three; expected one of one, two"),
        ("lit: perhaps", r"lit is 'perhaps'; expected yes\|no"),
        ("- 1", "holds list, expected options as 'name: value' lines"),
        ("", "holds NoneType, expected options"),
        ("a: [1", "is not YAML: "),
        ("side: {{ side }}", "is not YAML: while constructing a mapping .*found unhashable key"),
        ("? [a, b]\n: 3", "is not YAML: while constructing a mapping .*found unhashable key"),
        ("data: 2024-02-30", r"has a value of a form that it does not fill, .* \(day .*\); put texts in quotes"),
        ("lit: !!bool maybe", "has a value of a form that it does not fill"),
        ("rate: !!timestamp soon", "has a value of a form that it does not fill"),
        ("count: !!int ''", "has a value of a form that it does not fill"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        parsed("--config", tmp_path / "c.yaml")


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c\.yaml cannot be read \(No such file or directory\); check the path"):
        read_yaml(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not YAML"):
        read_yaml(tmp_path / "c.yaml")


def test_a_run_folder_is_new_empty_or_the_same_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / ".config.yaml.a1b2").touch()  # what a kill leaves behind
    folder.check(Options())
    folder.claim(Options())
    folder.check(Options())
    assert folder.config(Options) == Options()
    with pytest.raises(InputError, match="holds a run with count = 3, this one has 4"):
        folder.check(Options(count=4))
    (tmp_path / "photo.png").touch()
    with pytest.raises(InputError, match="holds other files; a run folder is new, empty or a run: name another"):
        RunFolder(tmp_path).check(Options())


@pytest.mark.parametrize("size_hw", [None, (64, 96)])
def test_a_teachers_run_is_no_detectors(tmp_path: Path, size_hw: tuple[int, int] | None) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim(TeacherConfig(data="photographs"))
    assert folder.config(TeacherConfig).data == "photographs"
    config = StudentsConfig(data="parts", size_hw=size_hw)
    message = r"run holds the run of a teacher \(python -m train\.teacher\), and no detector's; name another run folder"
    for call in (
        lambda: begun(config, folder.path, None),
        lambda: folder.config(StudentsConfig),
        lambda: folder.method,
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_network_comes_back_with_its_card_and_what_lies_beside_it(tmp_path: Path) -> None:
    network, path = PatchNetwork(33), tmp_path / "network.safetensors"
    save_network(path, network, {"made": "here"}, beside={"mean": torch.arange(3.0)})
    found, card, beside = load_network(path)
    assert card == {"made": "here", "patch_size": 33, "width": 1.0, "separable": False}
    assert torch.equal(beside["mean"], torch.arange(3.0))
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)


def test_a_thinner_network_comes_back_as_thin(tmp_path: Path) -> None:
    save_network(tmp_path / "thin.safetensors", PatchNetwork(65, 0.5), {})
    found = load_network(tmp_path / "thin.safetensors")[0]
    assert found.width == 0.5
    assert [conv.out_channels for conv in map(found.conv, range(5))] == [64, 64, 128, 128, 128]


def test_a_separable_network_comes_back_as_one(tmp_path: Path) -> None:
    network = PatchNetwork(33, 0.5, separable=True)
    save_network(tmp_path / "separable.safetensors", network, {})
    found = load_network(tmp_path / "separable.safetensors")[0]
    assert (found.separable, found.layers) == (True, network.layers)
    assert [conv.groups for conv in map(found.conv, range(7))] == [1, 64, 1, 128, 1, 128, 1]


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    with pytest.raises(InputError, match="is not a file; check the path"):
        load_network(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="is not a patch network: its patch size is None"):
        load_network(path)
    save_file({"x": torch.zeros(2)}, path, metadata={"card": '{"patch_size": 33}'})
    with pytest.raises(InputError, match="does not hold the layers of a p = 33 network"):
        load_network(path)
    save_file({"x": torch.zeros(2)}, path, metadata={"card": "[3]"})
    with pytest.raises(InputError, match="is not a safetensors file or is damaged"):
        load_network(path)
    with pytest.raises(InputError, match="patch size 34 is not one of 17, 33, 65"):
        PatchNetwork(34)


def test_an_optimizer_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def new() -> tuple[torch.nn.Linear, torch.optim.Adam]:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        return module, torch.optim.Adam(module.parameters(), lr=0.1, weight_decay=0.01)

    def steps(module: torch.nn.Linear, optimizer: torch.optim.Adam, seeds: range) -> None:
        for seed in seeds:
            optimizer.zero_grad()
            module(torch.randn(4, 3, generator=generator(seed))).square().sum().backward()
            optimizer.step()

    module, optimizer = new()
    steps(module, optimizer, range(6))
    stopped = new()
    steps(*stopped, range(3))
    save_checkpoint(tmp_path / "c", {"m": stopped[0]}, {"adam": stopped[1]}, {"step": 3})
    again = new()
    assert load_checkpoint(tmp_path / "c", {"m": again[0]}, {"adam": again[1]}) == {"step": 3}
    steps(*again, range(3, 6))
    assert torch.equal(module.weight, again[0].weight)


@pytest.mark.parametrize("content", [b"junk", save({"module.m.weight": torch.zeros(2, 3)})])
def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(InputError, match="c is damaged; delete it, and the training it is of starts anew"):
        load_checkpoint(tmp_path / "c", {"m": torch.nn.Linear(3, 2)}, {})


def test_draws_depend_on_the_seed_and_every_part_of_the_use() -> None:
    draws = {
        where: torch.rand(2, generator=generator(*where)).tolist() for where in ((0, 1), (1, 1), (0, 2), (0, 1, 1))
    }
    assert len({tuple(values) for values in draws.values()}) == 4
    assert torch.rand(2, generator=generator(0, 1)).tolist() == draws[0, 1]


def test_the_learning_rate_is_constant_or_half_a_cosine() -> None:
    assert [learning_rate(2.0, "constant", step, 10) for step in (0, 9)] == [2.0, 2.0]
    assert [learning_rate(2.0, "cosine", step, 10) for step in (0, 5, 10)] == pytest.approx([2.0, 1.0, 0.0])


def test_the_help_shows_what_presets_set_in_place_of_a_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    presets: dict[str, dict[str, object]] = {
        "quick": {"steps": 10, "size_hw": [64, 96]},
        "exact": {"by_position": True},
    }
    add_options(parser, StudentsConfig, presets)
    parser.print_help()
    shown = " ".join(capsys.readouterr().out.split())
    assert "in place of epochs (quick: 10; exact: none)" in shown
    assert "the prepared frame in pixels, in place of side (quick: 64,96; exact: none)" in shown
    assert "at each position (ours) (quick: no; exact: yes)" in shown
    assert "M, students of each scale (default: 3)" in shown
    assert "MVTec AD layout --" in shown  # what has to be given has none


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("steps: 3\nseed: 1\nsteps: 4\n")
    with pytest.raises(InputError, match=r"options.yaml has steps twice, in lines 1 and 3; keep one of them"):
        read_yaml(path)
