"""Every layout keeps one contract, and each its own particulars."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import TREES, make_tree, many, mask, write

from runtime.errors import ImageError, InputError
from train import datasets
from train.datasets import LAYOUTS, good_images
from train.datasets import __main__ as command


@pytest.fixture
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A category in the layout that the test is given."""
    folder = tmp_path / "set" / "category"
    make_tree(request.param, folder)
    return folder


def test_every_layout_has_a_tree_and_so_keeps_the_contract() -> None:
    assert set(TREES) == set(LAYOUTS)


@pytest.mark.parametrize(("data", "name"), [(name, name) for name in TREES], indirect=["data"])
def test_a_layout_is_recognised_and_read(data: Path, name: str) -> None:
    assert datasets.layout_of(data).name == name
    images, training = datasets.read_test_set(data), datasets.training_images(data)
    assert images == datasets.read_test_set(data, name)
    labels = [image.label for image in images]
    assert labels == sorted(labels), "good ones come first"
    assert sum(labels) == 2
    assert len(training) >= 2
    contents = [path.read_bytes() for path in [*training, *(image.path for image in images)]]
    assert len(set(contents)) == len(contents), "an image is both trained and tested on, or twice"
    for image in images:
        pixels, marked = datasets.read_pixels(image)
        assert pixels.shape == (6, 8, 3)
        assert marked is not None
        assert np.argwhere(marked).tolist() == ([[1, 2], [1, 3]] if image.label else [])
        assert (image.defect == "good") is not image.label
        assert image.path.is_relative_to(data)


@pytest.mark.parametrize(("data", "name"), [(name, name) for name in TREES], indirect=["data"])
def test_another_layout_is_refused_by_what_is_missing_and_what_is_there(data: Path, name: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "frames" / "000.png")
    expected = (
        rf"other has no \S+.*; expected the .*{LAYOUTS[name].title.removeprefix('prepared ')}.*; it holds frames/"
    )
    for read in (datasets.read_test_set, datasets.training_images):
        with pytest.raises(InputError, match=expected.replace("plain folder", "plain layout")):
            read(other, name)


@pytest.mark.parametrize(
    ("data", "removed", "message"),
    [
        ("mvtec", "ground_truth/dent/001_mask.png", "dent/001.png has no mask; expected .*dent/001_mask.png"),
        (
            "mvtec2",
            "test_public/ground_truth/bad/000_mask.png",
            "bad/000.png has no mask; expected .*ground_truth/bad/000_mask.png",
        ),
        ("mvtec2", "test_public/bad/001.png", "001_mask.png has no image in .*bad"),
        ("loco", "ground_truth/logical_anomalies/000", "logical_anomalies/000.png has no mask; expected one file or"),
        ("visa", "Data/Masks/Anomaly/001.png", "Masks/Anomaly/001.png is missing, and .*1cls.csv names it"),
        ("visa", "Data/Images/Normal/003.JPG", "Normal/003.JPG is missing, and .*1cls.csv names it; restore it"),
        ("btad", "ground_truth/ko/001.bmp", "ko/001.bmp has no mask; expected .*ground_truth/ko/001.png"),
        ("btad", "test/ko/000.bmp", "ko/000.png has no image in .*test/ko"),
        ("ksdd", "kos02/Part1_label.bmp", "Part1.jpg has no mask; expected .*Part1_label.bmp, black all over"),
        ("ksdd2", "test/20001_GT.png", "20001.png has no mask; expected .*20001_GT.png"),
        ("plain", "masks/001.png", "bad/001.png has no mask; expected .*masks/001.png"),
    ],
    indirect=["data"],
)
def test_a_set_with_a_gap_is_refused(data: Path, removed: str, message: str) -> None:
    path = data / removed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=message):
        datasets.read_test_set(data)


def test_a_data_set_is_given_category_by_category(tmp_path: Path) -> None:
    make_tree("mvtec", tmp_path / "bottle")
    make_tree("mvtec", tmp_path / "cable")
    with pytest.raises(InputError, match="holds several categories; give one of them: bottle, cable"):
        datasets.read_test_set(tmp_path)


def test_a_folder_of_no_layout_is_described(tmp_path: Path) -> None:
    many(tmp_path, 10)
    with pytest.raises(
        InputError, match=r"none of the known layouts \(.*KolektorSDD2.*\); it holds 000.png, .* 2 more"
    ):
        datasets.read_test_set(tmp_path)
    with pytest.raises(InputError, match="the layout is 'mvtec3'; expected one of mvtec2, loco"):
        datasets.read_test_set(tmp_path, "mvtec3")


@pytest.mark.parametrize("data", ["loco"], indirect=True)
def test_a_loco_mask_is_the_union_of_its_files(data: Path) -> None:
    logical = datasets.read_test_set(data)[2]
    assert logical.defect == "logical_anomalies"
    assert logical.mask_path is not None
    (logical.mask_path / "001.png").unlink()
    marked = datasets.read_pixels(logical)[1]
    assert marked is not None
    assert np.argwhere(marked).tolist() == [[1, 2]]
    write(logical.mask_path / "002.png", np.full((8, 6), 9, np.uint8))
    with pytest.raises(ImageError, match=r"002.png is 6×8 pixels, its image 8×6"):
        datasets.read_pixels(logical)


@pytest.mark.parametrize("data", ["visa"], indirect=True)
def test_visas_split_file_says_what_is_trained_on(data: Path) -> None:
    assert [path.name for path in datasets.training_images(data)] == ["000.JPG", "003.JPG", "004.JPG"]
    assert [image.path.name for image in datasets.read_test_set(data)] == ["001.JPG", "002.JPG", "000.JPG", "001.JPG"]


@pytest.mark.parametrize("data", ["visa"], indirect=True)
def test_without_visas_split_file_the_content_splits(data: Path) -> None:
    (data.parent / "split_csv" / "1cls.csv").unlink()
    many(data / "Data" / "Images" / "Normal", 40, ".JPG")
    training, test = datasets.training_images(data), datasets.read_test_set(data)
    good = [image.path for image in test if not image.label]
    assert good
    assert sorted(training + good) == sorted((data / "Data" / "Images" / "Normal").iterdir())
    assert [image.mask_path for image in test if image.label] == sorted((data / "Data" / "Masks" / "Anomaly").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "has the columns a, b; expected object, split, label, image, mask"),
        ("", "has the columns none"),
        ("object,split,label,image,mask\n", "has no row whose object is category"),
        (
            "object,split,label,image,mask\ncategory,dev,normal,category/Data/x.JPG,\n",
            "has a row category,dev.*expected",
        ),
        (
            "object,split,label,image,mask\ncategory,test,normal,category/Data/../../x.JPG,\n",
            "names 'category/Data/../",
        ),
        (
            "object,split,label,image,mask\ncategory,test,anomaly,category/Data/Images/Anomaly/000.JPG,\n",
            "without a mask",
        ),
    ],
)
@pytest.mark.parametrize("data", ["visa"], indirect=True)
def test_a_damaged_split_file_is_refused(data: Path, text: str, message: str) -> None:
    (data.parent / "split_csv" / "1cls.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        datasets.read_test_set(data)


@pytest.mark.parametrize("data", ["visa"], indirect=True)
def test_a_split_file_is_read_with_a_byte_order_mark_and_refused_in_another_encoding(data: Path) -> None:
    path, before = data.parent / "split_csv" / "1cls.csv", datasets.read_test_set(data)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert datasets.read_test_set(data) == before
    path.write_text(path.read_text() + "é", encoding="utf-16")
    with pytest.raises(InputError, match=r"1cls.csv cannot be read \(.+\); expected CSV in UTF-8"):
        datasets.read_test_set(data)


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ("mvtec", "test/dent/000.png"),
        ("mvtec", "ground_truth/dent/000_mask.png"),
        ("mvtec2", "test_public/bad/000.png"),
        ("loco", "test/logical_anomalies/000.png"),
    ],
    indirect=["data"],
)
def test_two_files_that_would_share_a_mask_are_refused(data: Path, image: str) -> None:
    path = data / image
    path.with_suffix(".bmp").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=rf"{path.stem}\.bmp and {path.stem}\.png differ in their ending alone"):
        datasets.read_test_set(data)


@pytest.mark.parametrize("data", ["ksdd"], indirect=True)
def test_the_commutator_that_the_authors_leave_out_is_left_out(data: Path) -> None:
    paths = datasets.training_images(data) + [image.path for image in datasets.read_test_set(data)]
    assert data / "kos21" / "Part6.jpg" in paths
    assert data / "kos21" / "Part7.jpg" not in paths
    assert len(paths) == 23


@pytest.mark.parametrize("data", ["ksdd2"], indirect=True)
def test_of_kolektorsdd2_neither_defective_nor_stray_images_are_trained_on(data: Path) -> None:
    assert [path.name for path in datasets.training_images(data)] == ["10000.png", "10002.png"]


@pytest.mark.parametrize("data", ["plain"], indirect=True)
def test_without_masks_a_plain_folders_defects_are_nowhere(data: Path) -> None:
    shutil.rmtree(data / "masks")
    images = datasets.read_test_set(data)
    assert [datasets.read_pixels(image)[1] is None for image in images] == [image.label for image in images]
    mask(data / "masks" / "000_mask.png", (2, 2))
    with pytest.raises(InputError, match=r"bad/001.png has no mask; expected .*masks/001_mask.png"):
        datasets.read_test_set(data)


@pytest.mark.parametrize("data", ["plain"], indirect=True)
def test_an_added_image_moves_no_other_from_training_to_test(data: Path) -> None:
    before = datasets.training_images(data)
    many(data / "good" / "more", 30)
    for path in (data / "good" / "more").iterdir():
        path.rename(data / "good" / f"later-{path.name}")
    after = datasets.training_images(data)
    assert [path for path in after if not path.name.startswith("later")] == before


@pytest.mark.parametrize("data", TREES, indirect=True)
def test_training_takes_every_layout_as_it_is(data: Path) -> None:
    assert good_images(data) == datasets.training_images(data)


@pytest.mark.parametrize("data", ["visa"], indirect=True)
def test_the_command_says_what_a_category_holds(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([str(data)])
    assert capsys.readouterr().out.splitlines()[:3] == [
        f"{data} has the layout visa (VisA)",
        "3 good images to train on",
        "4 to test on: 2 good, 2 anomaly",
    ]


@pytest.mark.parametrize("folder", ["", "good"])
def test_the_command_says_of_good_images_alone_that_all_are_trained_on(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    many(tmp_path / folder, 10)
    command.main([str(tmp_path)])
    assert len(good_images(tmp_path)) == 10
    assert capsys.readouterr().out.splitlines() == [
        f"10 good images in {tmp_path}, all of them to train on",
        "none to test on: sort them into good/ and bad/, and one in five of good/ is kept for the test",
    ]


@pytest.mark.parametrize("data", ["mvtec", "ksdd2"], indirect=True)
def test_the_categories_of_a_data_set_are_named_where_the_set_is_given(data: Path) -> None:
    with pytest.raises(InputError, match=f"holds several categories; give one of them: {data.name}"):
        good_images(data.parent)


@pytest.mark.parametrize("data", ["visa", "mvtec"], indirect=True)
def test_images_beside_the_folders_of_a_layout_are_taken_unless_it_has_a_folder_to_train_on(data: Path) -> None:
    beside = write(data / "000.png")
    assert good_images(data) == (datasets.training_images(data) if (data / "train").is_dir() else [beside])


def test_a_wrong_layout_ends_the_command_in_one_sentence(tmp_path: Path) -> None:
    make_tree("mvtec", tmp_path / "data")
    arguments = ["-m", "train.datasets", str(tmp_path / "data"), "--layout", "btad"]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "has no train/ok; expected the BTAD layout" in done.stderr
    assert "it holds ground_truth/, test/, train/" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_defective_image_without_a_mask_is_no_good_one(tmp_path: Path) -> None:
    path = write(tmp_path / "000.png")
    assert datasets.read_pixels(datasets.TestImage(path, True, "bad", None))[1] is None
    marked = datasets.read_pixels(datasets.TestImage(path, False, "good", None))[1]
    assert marked is not None
    assert not marked.any()
