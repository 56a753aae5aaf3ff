"""A backbone's card: from the file where it knows its source, else asked for."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from runtime.errors import InputError
from train.backbones import SHIPPED, read_card
from train.backbones.card import facts
from train.backbones.sources import known_source
from train.card import main, network_path

LITE = SHIPPED / "efficientnet-lite0.safetensors"


def with_card(folder: Path, card: object) -> Path:
    save_file(load_file(LITE), folder / "mine.safetensors", {"card": json.dumps(card)})
    return folder / "mine.safetensors"


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["train.card", *arguments])
    main()
    return capsys.readouterr().out


def test_a_shipped_backbones_card_needs_no_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = printed(monkeypatch, capsys, "efficientnet-lite0")
    assert card.startswith("# Backbone efficientnet-lite0\n")
    assert facts(LITE) in card
    assert "**Licence of the data.** The licence of the weights, Apache-2.0, permits commercial use." in card
    assert card.endswith("**Cleared for commercial use: no.**\n")


def test_the_card_of_unknown_weights_asks_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"name": "a.pth", "sha256": "ab" * 32}
    path = str(with_card(tmp_path, {**read_card(LITE), "source": source, "note": "ours |\nof 2026"}))
    with pytest.raises(SystemExit):
        printed(monkeypatch, capsys, path, "--data", "boards")
    assert "arguments are required: --licence, --commercial\n" in capsys.readouterr().err
    card = printed(monkeypatch, capsys, path, "--data", "boards", "--licence", "ours", "--commercial", "yes")
    assert "| licence of the weights | not known |" in card
    assert "| note | ours \\| of 2026 |" in card
    assert "**Photographs.** boards\n\n**Licence of the data.** ours\n\n**Cleared for commercial use: yes.**" in card


@pytest.mark.parametrize("card", [{}, {"source": []}, {"source": {"licence": "MIT"}}, {"stages": 3}, {"pixels": None}])
def test_a_file_whose_card_is_none_is_refused(tmp_path: Path, card: dict[str, object]) -> None:
    whole = {"architecture": "efficientnet-lite0"} if card == {} else {**read_card(LITE), **card}
    with pytest.raises(InputError, match=r"does not say how it was made; a card needs a file that train\.backbones"):
        facts(with_card(tmp_path, whole))


def test_a_name_of_neither_teacher_nor_backbone_is_answered_with_both() -> None:
    assert network_path("p33").name == "teacher-p33.safetensors"
    with pytest.raises(
        InputError, match=r"neither a shipped teacher or backbone \(p17, .*p65-half-dense, efficientnet-lite0, "
    ):
        network_path("b0")


def test_sources_are_known_by_their_hash_alone() -> None:
    for name in ("efficientnet-lite0", "efficientnet-lite2", "resnet18"):
        source = read_card(SHIPPED / f"{name}.safetensors")["source"]
        known = known_source(source["sha256"])
        assert known is not None
        assert (known.origin, known.licence, known.cleared) == (source["origin"], source["licence"], False)
    assert known_source("0" * 64) is None
