"""Good images: which files, split by what they hold, and every kind of file read right or named."""

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.demo import DemoLine
from runtime.errors import ImageError, InputError
from runtime.preparation import scaled
from train.data import (
    DifferentPictures,
    PreparedImages,
    Split,
    file_sha256,
    for_statistics,
    set_apart,
    split_as_counted,
    split_by_content,
    split_held_out,
    split_in_turn,
)
from train.datasets import good_images


def write_images(folder: Path, count: int, suffix: str = ".png") -> list[Path]:
    """`count` different images of 8×10 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:03}{suffix}" for index in range(count)]
    for index, path in enumerate(paths):
        assert cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 256, (8, 10, 3), np.uint8))
    return paths


def uses(split: Split) -> list[set[str]]:
    return [{split.sha256[str(p)] for p in part} for part in (split.training, split.statistics, split.threshold)]


def test_a_flat_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("no image")
    assert good_images(tmp_path) == paths


def test_of_the_mvtec_layout_only_the_good_training_images_are_taken(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "train" / "good", 3)
    write_images(tmp_path / "test" / "good", 2)
    write_images(tmp_path / "test" / "dent", 2)
    write_images(tmp_path, 1)
    assert good_images(tmp_path) == paths


def test_of_btads_layout_the_good_training_images_are_taken(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "train" / "ok", 3)
    write_images(tmp_path / "test" / "ok", 2)
    assert good_images(tmp_path) == paths


def test_of_good_and_bad_the_good_are_taken_but_for_those_set_apart_for_a_test(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "good", 200)
    assert good_images(tmp_path / "good") == paths
    write_images(tmp_path / "bad", 2)
    training, apart = set_apart(paths)
    assert good_images(tmp_path) == training
    assert sorted(training + apart) == paths
    assert 20 <= len(apart) <= 60
    assert set(apart) & set(paths[:50]) == set(set_apart(paths[:50])[1])


def test_a_folder_good_without_bad_is_taken_whole(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "good", 20)
    assert good_images(tmp_path) == paths


@pytest.mark.parametrize("has_bad", [False, True])
def test_images_beside_a_folder_good_are_refused_and_never_take_its_place(tmp_path: Path, has_bad: bool) -> None:
    write_images(tmp_path / "good", 20)
    if has_bad:
        write_images(tmp_path / "bad", 2)
    write_images(tmp_path, 3)
    message = (
        r"has 3 images, such as 000\.png, beside its folder good/; expected the good images in one place: move them "
        "into good/, or out of this folder where they are none to train on"
    )
    with pytest.raises(InputError, match=message):
        good_images(tmp_path)


def test_folders_that_hold_images_are_named_where_the_one_given_holds_none(tmp_path: Path) -> None:
    write_images(tmp_path / "shift" / "monday", 1)
    with pytest.raises(InputError, match=r"holds no images; give one of its folders that do: \S+shift/monday$"):
        good_images(tmp_path)


def test_a_layout_that_holds_its_images_elsewhere_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "normal", 3)
    with pytest.raises(
        InputError, match=r"none of the known layouts .*; it holds train/; sort the images into good/ and bad/"
    ):
        good_images(tmp_path)


@pytest.mark.parametrize(
    ("count", "holdout", "held_out"),
    [
        (7, 0.2, (2, 2)), (12, 0.2, (2, 2)), (18, 0.2, (3, 3)), (30, 0.2, (5, 5)), (60, 0.2, (5, 7)),
        (100, 0.2, (5, 15)), (100, 0.5, (12, 38)), (40, 0.01, (5, 5)),
    ],
)  # fmt: skip
def test_a_quarter_of_the_held_out_share_is_for_the_statistics_and_small_sets_hold_out_more(
    tmp_path: Path, count: int, holdout: float, held_out: tuple[int, int]
) -> None:
    split = split_by_content(write_images(tmp_path, count), holdout)
    expected = {"training": count - sum(held_out), "statistics": held_out[0], "threshold": held_out[1]}
    assert split.counts == expected
    training, statistics, threshold = uses(split)
    assert training.isdisjoint(statistics | threshold)
    assert statistics.isdisjoint(threshold)
    assert len(training | statistics | threshold) == count


def test_equal_files_share_a_fate_and_count_once(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 14)
    copies = [Path(shutil.copy(path, path.with_name(f"copy-{path.name}"))) for path in paths[:9]]
    split = split_by_content(paths + copies, 0.3)
    for one, other in combinations(uses(split), 2):
        assert one.isdisjoint(other)
    assert sum(split.files.values()) == 23
    assert split.copies == 9
    assert split.counts == {"training": 10, "statistics": 2, "threshold": 2}
    assert [len(part) for part in uses(split)] == [10, 2, 2]


def test_of_copies_one_alone_counts_for_the_threshold(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 40)
    plain = split_by_content(paths, 0.5)
    assert plain.copies_left_out(plain.threshold_images(1, False)) is None
    copies = [
        Path(shutil.copy(path, path.with_name(f"{number}-{path.name}"))) for number in range(3) for path in paths[::2]
    ]
    split = split_by_content(paths + copies, 0.5)
    for by_position in (False, True):
        images, expected = (each.threshold_images(1, by_position) for each in (split, plain))
        assert [split.sha256[str(path)] for path in images] == [plain.sha256[str(path)] for path in expected]
        held_out = (*split.threshold, *(() if by_position else split.statistics))
        left_out = (
            f"left out of the threshold: {len(held_out) - len(images)} copies of the {len(images)} different pictures"
        )
        assert (split.copies_left_out(images) or "").startswith(left_out)


def test_from_the_counts_of_its_files_a_split_with_copies_is_found_again(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 40)
    copied = split_by_content(paths, 0.2).training[0]
    copies = [Path(shutil.copy(copied, tmp_path / f"copy-{number}.png")) for number in range(60)]
    split = split_by_content(paths + copies, 0.2)
    assert split_as_counted(paths + copies, split.counts) == split


def test_a_detector_whose_copies_were_counted_as_files_finds_its_split_again(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 40)
    plain = split_by_content(paths, 0.2)
    copies = [Path(shutil.copy(plain.training[0], tmp_path / f"copy-{number}.png")) for number in range(60)]
    split = split_by_content(paths + copies, 0.2)
    assert split.counts == plain.counts != split.files
    assert split_as_counted(paths + copies, split.files) == split


def test_where_there_are_no_copies_the_order_of_the_hashes_is_the_split(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 60)
    ordered = tuple(sorted(paths, key=file_sha256))
    split = split_by_content(paths, 0.2)
    assert (split.statistics, split.threshold, split.training) == (ordered[:5], ordered[5:12], ordered[12:])
    assert split.near == {}
    apart = [path for path in paths if int(file_sha256(path)[:8], 16) < 0.2 * 2**32]
    assert set_apart(paths) == ([path for path in paths if path not in apart], apart)


JPEG, WEBP = cv2.IMWRITE_JPEG_QUALITY, cv2.IMWRITE_WEBP_QUALITY
SAVED_AGAIN = [(".png", []), (".bmp", [])]
SAVED_AGAIN += [(".jpg", [JPEG, quality]) for quality in range(50, 100, 4)]
SAVED_AGAIN += [(".webp", [WEBP, quality]) for quality in range(60, 100, 8)]


def save_again(folder: Path, parts: int) -> dict[Path, int]:
    """Parts of the demo line in files of several formats, qualities, sizes and brightnesses: the part, by file."""
    folder.mkdir(parents=True, exist_ok=True)
    line, owner, random = DemoLine(5, (160, 192), defect_rate=0), {}, np.random.default_rng(5)
    for part in range(parts):
        image = line.good(part).image
        for number, (suffix, options) in enumerate([*SAVED_AGAIN, *SAVED_AGAIN[2:7]]):
            scale, gain = random.uniform(0.9, 1.1), random.uniform(0.98, 1.02)
            changed = image if number < len(SAVED_AGAIN) else cv2.resize(image, None, fx=scale, fy=scale)
            changed = changed if number % 5 else np.clip(changed * gain + 0.5, 0, 255).astype(np.uint8)
            path = folder / f"{part:02}-{number:02}{suffix}"
            assert cv2.imwrite(str(path), changed, options)
            owner[path] = part
    return owner


def test_fourteen_pictures_in_hundreds_of_files_count_as_fourteen(tmp_path: Path) -> None:
    owner = save_again(tmp_path / "images", 14)
    assert len(owner) == 14 * 25
    split = split_by_content(list(owner), 0.9)
    assert split.counts == {"training": 2, "statistics": 5, "threshold": 7}
    parts = [{owner[path] for path in part} for part in (split.training, split.statistics, split.threshold)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 14
    for fair in (True, False):
        counted = split.threshold_images(1, not fair)
        assert len(counted) == len({owner[path] for path in counted}) == (12 if fair else 7)
    assert str(split.copies_left_out(counted)).startswith(f"left out of the threshold: {7 * 24} copies of the 7 diff")
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert split_as_counted(list(owner), split.counts) == split


def test_six_pictures_in_any_number_of_files_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 6 different good images in 150 files; give 7 or more"):
        split_by_content(list(save_again(tmp_path, 6)), 0.2)


def test_no_picture_that_is_trained_on_is_tested_on(tmp_path: Path) -> None:
    owner = save_again(tmp_path, 12)
    training, test = ({owner[path] for path in part} for part in set_apart(list(owner)))
    assert training.isdisjoint(test)
    assert len(training) > len(test) > 0


def test_a_camera_that_is_stuck_shows_one_picture(tmp_path: Path) -> None:
    paths, random = write_images(tmp_path, 9), np.random.default_rng(0)
    image = DemoLine(2, (240, 320), defect_rate=0).good(0).image
    for number in range(40):
        shot = np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        paths.append(tmp_path / f"shot-{number}.png")
        assert cv2.imwrite(str(paths[-1]), shot)
    split = split_by_content(paths, 0.3)
    assert sum(split.counts.values()) == 10
    assert split.copies == 39


def test_a_run_from_before_near_copies_were_known_is_read(tmp_path: Path) -> None:
    split = split_by_content(write_images(tmp_path / "images", 10), 0.4)
    split.save(tmp_path / "split.json")
    document = json.loads((tmp_path / "split.json").read_text())
    assert document.pop("near") == {}
    (tmp_path / "split.json").write_text(json.dumps(document))
    assert Split.load(tmp_path / "split.json") == split


def test_an_image_that_cannot_be_decoded_is_one_of_its_own_until_it_is_read(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 10)
    paths[3].write_bytes(b"broken")
    assert sum(split_by_content(paths, 0.4).counts.values()) == 10


def test_the_split_depends_on_content_and_not_on_names_or_order(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "a", 20)
    (tmp_path / "b").mkdir()
    renamed = [Path(shutil.copy(path, tmp_path / "b" / f"{99 - i}.png")) for i, path in enumerate(paths)]
    split, other = split_by_content(paths, 0.3), split_by_content(renamed[::-1], 0.3)
    assert uses(split) == uses(other)
    assert split.images_sha256 == other.images_sha256
    assert split.images_sha256 != split_by_content(paths[:19], 0.3).images_sha256


@pytest.mark.parametrize(
    ("count", "holdout", "message"),
    [
        (6, 0.2, "found 6 different good images; give 7 or more"),
        (20, 0.0, "holdout is 0; expected a share between 0 and 1, such as 0.2"),
        (20, 1.0, "holdout is 1; expected"),
        (20, 0.99, r"holdout 0\.99 of 20 images leaves none to train on; use a smaller share"),
    ],
)
def test_a_set_that_cannot_be_split_is_refused(tmp_path: Path, count: int, holdout: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_by_content(write_images(tmp_path, count), holdout)


@pytest.mark.parametrize(
    ("count", "reference", "statistics"),
    [(7, 0.5, 3), (8, 0.5, 4), (16, 0.5, 8), (40, 0.5, 20), (40, 0.25, 10), (40, 0.01, 3), (40, 0.99, 36)],
)
def test_where_each_image_is_left_out_in_turn_a_share_is_for_reference_and_none_is_held_out(
    tmp_path: Path, count: int, reference: float, statistics: int
) -> None:
    paths = write_images(tmp_path, count)
    split = split_in_turn(paths, reference)
    assert split.counts == {"training": count - statistics, "statistics": statistics, "threshold": 0}
    assert split.statistics + split.training == tuple(sorted(paths, key=file_sha256))
    for kinds, by_position in ((1, False), (1, True), (2, True)):
        assert split.threshold_images(kinds, by_position) == split.training
    assert split.copies_left_out(split.training) is None


@pytest.mark.parametrize(
    ("count", "reference", "message"),
    [
        (6, 0.5, "found 6 different good images; give 7 or more"),
        (20, 0.0, "reference is 0; expected a share between 0 and 1, such as 0.5"),
        (20, 1.0, "reference is 1; expected"),
        (20, float("nan"), "reference is nan; expected"),
    ],
)
def test_a_set_of_which_none_can_be_left_out_in_turn_is_refused(
    tmp_path: Path, count: int, reference: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split_in_turn(write_images(tmp_path, count), reference)


def test_copies_are_left_out_together_and_count_once(tmp_path: Path) -> None:
    owner = save_again(tmp_path / "images", 14)
    split = split_in_turn(list(owner), 0.5)
    assert split.counts == {"training": 7, "statistics": 7, "threshold": 0}
    training, reference = ({owner[path] for path in part} for part in (split.training, split.statistics))
    assert training.isdisjoint(reference)
    assert (len(split.training), len(split.statistics)) == (7 * 25, 7 * 25)
    counted = split.threshold_images(1, True)
    assert {owner[path] for path in counted} == training
    assert len(counted) == 7
    assert split.different(split.statistics) == tuple(
        next(path for path in split.statistics if owner[path] == part)
        for part in dict.fromkeys(map(owner.get, split.statistics))
    )
    assert str(split.copies_left_out(counted)).startswith(f"left out of the threshold: {7 * 24} copies of the 7 differ")
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split


def test_a_split_comes_back_from_its_file_and_notices_a_changed_image(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 10)
    split = split_by_content(paths, 0.4)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    paths[4].write_bytes(paths[4].read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"004\.png was changed since training; restore it, or train again"):
        Split.load(tmp_path / "split.json")
    paths[4].unlink()
    with pytest.raises(InputError, match=r"004\.png was removed since training; restore it, or train without it"):
        Split.load(tmp_path / "split.json")


def test_a_split_holds_in_another_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "images", 10)
    monkeypatch.chdir(tmp_path)
    split_by_content(good_images(Path("images")), 0.4).save(tmp_path / "split.json")
    monkeypatch.chdir(tmp_path / "images")
    split = Split.load(tmp_path / "split.json")
    assert split == split_by_content(good_images(tmp_path / "images"), 0.4)


USES = {"training": ["a"], "statistics": ["b"], "threshold": ["c"]}
HASHES = dict.fromkeys("abc", "0" * 64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        "[" * 100_000,
        json.dumps({"training": 1, "statistics": [], "threshold": []}),
        json.dumps({**USES, "sha256": list(HASHES.values())}),
        json.dumps({**USES, "sha256": {"a": "0" * 64}}),
        json.dumps({**USES, "statistics": [], "sha256": HASHES}),
    ],
    ids=["empty", "list", "no uses", "deep", "number", "hashes in a list", "hashes missing", "no statistics"],
)
def test_a_damaged_split_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputError, match=r"is missing or damaged; delete .*, or name another run folder"):
        Split.load(tmp_path / "split.json")


def picture() -> NDArray[np.uint8]:
    """A smooth picture of 24×32 pixels that JPEG changes little."""
    y, x = np.mgrid[:24, :32]
    return np.stack([40 + 4 * x, 30 + 6 * y, 200 - 3 * x], axis=-1).astype(np.uint8)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block that says only how it is turned."""
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def encoded(suffix: str, image: NDArray[np.generic]) -> bytes:
    return bytes(cv2.imencode(suffix, np.asarray(image))[1].tobytes())


READ = {
    "grey.png": lambda: encoded(".png", picture()[:, :, 1]),
    "deep.png": lambda: encoded(".png", picture().astype(np.uint16) * 257),
    "opaque.png": lambda: encoded(".png", np.dstack([picture(), np.full((24, 32), 255, np.uint8)])),
    "turned.jpg": lambda: with_orientation(encoded(".jpg", np.rot90(picture())), 6),
    "large.png": lambda: encoded(".png", picture().repeat(2, axis=0).repeat(2, axis=1)),
}
REFUSED = {
    "text.png": (lambda: b"hello", r"text\.png is not an image that can be decoded; re-save"),
    "empty.jpg": (lambda: b"", r"empty\.jpg is empty; copy it again"),
    "cut.png": (lambda: encoded(".png", picture())[:-40], r"cut\.png is truncated; copy it again or remove it"),
    "cut.jpg": (lambda: encoded(".jpg", picture())[:-60], r"cut\.jpg is truncated"),
    "dim.png": (lambda: encoded(".png", picture().astype(np.uint16) * 4), r"dim\.png keeps 10-bit values in 16 bits"),
    "glass.png": (
        lambda: encoded(".png", np.dstack([picture(), np.full((24, 32), 99, np.uint8)])),
        r"glass\.png has transparent pixels; flatten it",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_unusual_images_are_read_right(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(READ[name]())
    expected = scaled(picture()[:, :, 1] if name == "grey.png" else picture(), (24, 32))
    found = PreparedImages([tmp_path / name], (24, 32), None)[0]
    assert found.shape == (24, 32, 3)
    assert np.abs(found.astype(int) - expected).max() <= (10 if name == "turned.jpg" else 0)


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_images_are_named(tmp_path: Path, name: str) -> None:
    content: Callable[[], bytes] = REFUSED[name][0]
    (tmp_path / name).write_bytes(content())
    with pytest.raises(ImageError, match=REFUSED[name][1]):
        PreparedImages([tmp_path / name], (24, 32), None).check()


def test_all_unusable_images_are_named_at_once(tmp_path: Path) -> None:
    paths = write_images(tmp_path, 9)
    for path in paths[2:4]:
        path.write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"002\.png is not an image.*; \S*003\.png is not an image"):
        PreparedImages(paths, (8, 10), None).check()
    for path in paths:
        path.write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"004\.png .* \(and 4 more\)$"):
        PreparedImages(paths, (8, 10), None).check()


def test_beyond_the_memory_allowed_images_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.data.CACHE_BYTES", 2 * 8 * 10 * 3)
    paths = write_images(tmp_path, 3)
    images = PreparedImages(paths, (8, 10), None)
    before = [images[i].copy() for i in range(3)]
    for path in paths:
        path.unlink()
    assert np.array_equal(images[0], before[0])
    assert np.array_equal(images[1], before[1])
    with pytest.raises(ImageError):
        images[2]


def test_images_of_the_statistics_serve_the_threshold_where_they_weigh_nothing(tmp_path: Path) -> None:
    split = split_by_content(write_images(tmp_path, 40), 0.5)
    assert set(split.threshold_images(1, False)) == {*split.threshold, *split.statistics}
    assert len(split.threshold_images(1, False)) == 20
    for kinds in (2, 3):
        assert split.threshold_images(kinds, False) == split.threshold
    assert split.threshold_images(1, True) == split.threshold
    assert split.threshold_images(1, False, shaped_by_statistics=True) == split.threshold


@pytest.mark.parametrize(("count", "holdout"), [(16, 0.375), (40, 0.5), (100, 0.2), (101, 0.31)])
def test_what_one_training_held_out_is_shared_out_again_as_it_did(tmp_path: Path, count: int, holdout: float) -> None:
    split = split_by_content(write_images(tmp_path, count), holdout)
    held_out = DifferentPictures.of((*split.threshold, *split.statistics))
    again = split_held_out(held_out, for_statistics(len(held_out.groups)))
    assert (again.training, again.statistics, again.threshold) == ((), split.statistics, split.threshold)
    kept = split_held_out(held_out, 0)
    assert (kept.statistics, kept.threshold) == ((), (*split.statistics, *split.threshold))
