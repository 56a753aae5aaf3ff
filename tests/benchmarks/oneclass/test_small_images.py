"""MNIST and CIFAR-10 as one-class sets, from small files in their formats."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.oneclass.npz import NAMES
from benchmarks.oneclass.small_images import read_small_images
from runtime.errors import InputError

RNG = np.random.default_rng(4)
TRAIN_CLASSES, TEST_CLASSES = np.arange(20, dtype=np.uint8) % 10, np.arange(10, dtype=np.uint8)


def digits() -> dict[str, np.ndarray]:
    return {
        "train_images": RNG.integers(0, 256, (20, 28, 28), np.uint8),
        "train_labels": TRAIN_CLASSES,
        "test_images": RNG.integers(0, 256, (10, 28, 28), np.uint8),
        "test_labels": TEST_CLASSES,
    }


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.tobytes()


def write_idx(folder: Path, arrays: dict[str, np.ndarray], packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        part, what = key.split("_")
        name = f"{'t10k' if part == 'test' else part}-{what}-idx{array.ndim}-ubyte"
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(idx(array)) if packed else idx(array))


def write_cifar(folder: Path) -> np.ndarray:
    """Batches of 10 images; returns the planes, red first, of all of them: [60, 3, 32, 32], the last ten to test on."""
    folder.mkdir()
    batches = [RNG.integers(0, 256, (10, 3072), np.uint8) for _ in range(6)]
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for name, batch in zip(names, batches, strict=True):
        (folder / name).write_bytes(np.column_stack([TEST_CLASSES, batch]).tobytes())
    return np.concatenate(batches).reshape(60, 3, 32, 32)


@pytest.mark.parametrize("names", NAMES)
def test_an_npz_file_is_read_in_its_order(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = digits()
    np.savez(tmp_path / "mnist.npz", **dict(zip(names, arrays.values(), strict=True)))
    found = read_small_images(tmp_path / "mnist.npz")
    assert found.train.shape == (20, 28, 28, 3)
    assert found.train.dtype == found.test.dtype == np.uint8
    for channel in range(3):
        assert np.array_equal(found.train[..., channel], arrays["train_images"])
        assert np.array_equal(found.test[..., channel], arrays["test_images"])
    assert found.train_labels.tolist() == TRAIN_CLASSES.tolist()
    assert found.test_labels.dtype == np.int64
    assert found.classes() == tuple(range(10))


@pytest.mark.parametrize("packed", [True, False])
def test_the_official_files_hold_the_same(tmp_path: Path, packed: bool) -> None:
    arrays = digits()
    np.savez(tmp_path / "mnist.npz", **arrays)
    write_idx(tmp_path / "idx", arrays, packed)
    assert read_small_images(tmp_path / "idx").sha256() == read_small_images(tmp_path / "mnist.npz").sha256()


def test_cifar_comes_in_bgr_from_its_own_files_and_from_an_npz_in_rgb(tmp_path: Path) -> None:
    planes = write_cifar(tmp_path / "cifar")
    found = read_small_images(tmp_path / "cifar")
    assert found.train.shape == (50, 32, 32, 3)
    assert found.test.shape == (10, 32, 32, 3)
    assert found.train[6, 5, 9].tolist() == planes[6, ::-1, 5, 9].tolist()
    rgb, labels = planes.transpose(0, 2, 3, 1), np.tile(TEST_CLASSES, 6)[:, None]
    arrays = (rgb[:50], labels[:50], rgb[50:], labels[50:])
    np.savez(tmp_path / "cifar.npz", **dict(zip(NAMES[0], arrays, strict=True)))
    assert read_small_images(tmp_path / "cifar.npz").sha256() == found.sha256()


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "cifar").mkdir()
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / "cifar" / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"as pickles, which can run code .*; download .*cifar-10-binary\.tar\.gz"):
        read_small_images(tmp_path / "cifar")
    np.savez(tmp_path / "mnist.npz", **{**digits(), "train_labels": np.array([Trap()], object)})
    with pytest.raises(InputError, match=r"is no .npz file of arrays without pickles"):
        read_small_images(tmp_path / "mnist.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": TRAIN_CLASSES[:-1]}, "has 20 images and 19 uint8 labels; expected an integer for each"),
        ({"train_labels": np.zeros(20)}, "has 20 images and 20 float64 labels; expected an integer for each"),
        ({"train_labels": np.eye(20, 10, dtype=np.uint8)}, "has 20 images and 200 uint8 labels"),
        ({"test_images": np.zeros((10, 28, 28))}, r"has float64 images of shape \[10, 28, 28\]; expected uint8"),
        ({"test_images": np.zeros((10, 784), np.uint8)}, r"has uint8 images of shape \[10, 784\]; expected uint8"),
        ({"test_images": np.zeros((10, 2, 2, 1), np.uint8)}, r"images of shape \[10, 2, 2, 1\]; expected uint8"),
        ({"test_images": np.zeros((0, 2, 2), np.uint8), "test_labels": np.zeros(0, int)}, r"shape \[0, 2, 2\]"),
        ({"test_images": np.zeros((10, 2, 2), np.uint8)}, r"\[28, 28\] to train on and \[2, 2\] to test on"),
        ({"test_labels": np.full(10, 4)}, "test images of 4; expected two classes or more, the same in both"),
        ({"test_labels": TEST_CLASSES + 10}, "classes 0, 1, .* test images of 10, 11, .* the same in both"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "mnist.npz", **{**digits(), **change})
    with pytest.raises(InputError, match=message):
        read_small_images(tmp_path / "mnist.npz")


def test_a_damaged_npz_file_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", **digits())
    whole = (tmp_path / "whole.npz").read_bytes()
    damaged = {
        "text": b"hello",
        "empty": b"",
        "short": whole[: len(whole) // 2],  # its directory is missing
        "changed": whole[:200] + bytes(64) + whole[264:],  # zlib says so
        "other": whole.replace(b"PK\x03\x04", b"PK\x03\x05"),  # zipfile does
    }
    for name, content in damaged.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.npz is no .npz file of arrays without pickles"):
            read_small_images(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "few.npz", train_images=digits()["train_images"])
    with pytest.raises(InputError, match=r"few\.npz holds train_images; expected x_train, y_train, x_test, y_test"):
        read_small_images(tmp_path / "few.npz")
    np.save(tmp_path / "single.npy", digits()["train_images"])
    with pytest.raises(InputError, match=r"single.npy is no .npz file of arrays"):
        read_small_images(tmp_path / "single.npy")


def test_a_damaged_batch_of_cifar_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_2.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_2.bin holds 30729 bytes; expected a multiple of 3073"):
        read_small_images(tmp_path / "cifar")
    batch.write_bytes(b"\x0b" + bytes(3072))
    with pytest.raises(InputError, match=r"data_batch_2.bin names class 11; expected 0 to 9"):
        read_small_images(tmp_path / "cifar")
    batch.unlink()
    with pytest.raises(InputError, match=r"cifar has no data_batch_2.bin; expected data_batch_1.bin to"):
        read_small_images(tmp_path / "cifar")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no t10k-labels-idx1-ubyte.gz; expected the four files"),
        (b"not gzip", "cannot be unpacked"),
        (gzip.compress(b"\0\0\x0d\1\0\0\0\1\0\0\0\0", mtime=0), "begins with 00000d01; expected an IDX file of bytes"),
        (gzip.compress(b"", mtime=0), "begins with nothing"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\x0a123", mtime=0), r"holds 11 bytes; expected 18 for \(10,\) values"),
        (gzip.compress(idx(TEST_CLASSES), mtime=0)[:-12], "cannot be unpacked"),
        (gzip.compress(idx(TEST_CLASSES[:0]), mtime=0), "has 10 images and 0 uint8 labels"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    write_idx(tmp_path, digits())
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_small_images(tmp_path)


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is neither an .npz file, nor MNIST .* nor CIFAR-10's .*; it holds nothing"):
        read_small_images(tmp_path)
    with pytest.raises(InputError, match=r"mnist.npz is neither an .npz file, nor MNIST .*; it is not a folder"):
        read_small_images(tmp_path / "mnist.npz")


def test_limits_take_the_first_of_each_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **digits())
    images = read_small_images(tmp_path / "mnist.npz")
    assert np.array_equal(images.limited(1, None).train, images.train[:10])
    assert images.limited(1, None).test_labels.tolist() == TEST_CLASSES.tolist()
    assert images.limited(None, 1).train.shape == (20, 28, 28, 3)
    shuffled = images.train_labels[[3, 13, 5, 4]]
    some = type(images)(images.train[:4], shuffled, images.test, images.test_labels).limited(1, 1)
    assert some.train_labels.tolist() == [3, 5, 4]
    assert np.array_equal(some.train, images.train[[0, 2, 3]])


def test_the_hash_of_images_knows_every_pixel_and_label(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **digits())
    images = read_small_images(tmp_path / "mnist.npz")
    before = images.sha256()
    assert images.limited(1, None).sha256() != before
    images.test[0, 0, 0, 0] ^= 1
    changed = images.sha256()
    assert changed != before
    images.test_labels[0] = 7
    assert images.sha256() not in (before, changed)


@pytest.mark.data
@pytest.mark.skipif("PROCTOR_DATA" not in os.environ, reason="PROCTOR_DATA points at no images")
def test_mnist_has_its_published_size() -> None:
    path = Path(os.environ["PROCTOR_DATA"]) / "mnist.npz"
    if not path.is_file():
        pytest.skip("PROCTOR_DATA holds no mnist.npz")
    images = read_small_images(path)
    assert (len(images.train), len(images.test)) == (60000, 10000)
    assert (int((images.train_labels == 0).sum()), int((images.test_labels == 0).sum())) == (5923, 980)
