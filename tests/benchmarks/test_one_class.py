"""MNIST and CIFAR-10 as one-class sets, from small files in their formats."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets.one_class import read_one_class
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
    """Batches of 10 images; returns the planes, red first, of the first of them: [10, 3, 32, 32]."""
    folder.mkdir()
    batches = [RNG.integers(0, 256, (10, 3072), np.uint8) for _ in range(6)]
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for name, batch in zip(names, batches, strict=True):
        (folder / name).write_bytes(np.column_stack([TEST_CLASSES, batch]).tobytes())
    return batches[0].reshape(10, 3, 32, 32)


def test_one_digit_is_normal_and_all_others_are_not(tmp_path: Path) -> None:
    arrays = digits()
    np.savez(tmp_path / "mnist.npz", **arrays)
    train, test, labels = read_one_class(tmp_path / "mnist.npz", 3)
    assert np.array_equal(train, arrays["train_images"][[3, 13]])
    assert np.array_equal(test, arrays["test_images"])
    assert labels.tolist() == [digit != 3 for digit in range(10)]
    assert train.dtype == test.dtype == np.uint8


@pytest.mark.parametrize("packed", [True, False])
def test_the_official_files_hold_the_same(tmp_path: Path, packed: bool) -> None:
    arrays = digits()
    np.savez(tmp_path / "mnist.npz", **arrays)
    write_idx(tmp_path / "idx", arrays, packed)
    for one, other in zip(read_one_class(tmp_path / "mnist.npz", 7), read_one_class(tmp_path / "idx", 7), strict=True):
        assert np.array_equal(one, other)


def test_cifar_comes_in_bgr(tmp_path: Path) -> None:
    planes = write_cifar(tmp_path / "cifar")
    train, test, labels = read_one_class(tmp_path / "cifar", 6)
    assert train.shape == (5, 32, 32, 3)
    assert test.shape == (10, 32, 32, 3)
    assert train.dtype == np.uint8
    assert train[0, 5, 9].tolist() == planes[6, ::-1, 5, 9].tolist()
    assert labels.tolist() == [number != 6 for number in range(10)]


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "cifar").mkdir()
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / "cifar" / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"as pickles, which can run code .*; download .*cifar-10-binary\.tar\.gz"):
        read_one_class(tmp_path / "cifar", 0)
    np.savez(tmp_path / "mnist.npz", **{**digits(), "train_labels": np.array([Trap()], object)})
    with pytest.raises(InputError, match=r"is no .npz file of arrays without pickles"):
        read_one_class(tmp_path / "mnist.npz", 0)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": TRAIN_CLASSES[:-1]}, r"holds images \(20, 28, 28\) and labels \(19,\); expected \[n, H, W\]"),
        ({"test_images": np.zeros((10, 28, 28))}, "holds float64 images, uint8 labels; expected uint8, integers"),
        ({"test_labels": np.full(10, 4, np.uint8)}, "holds no image of class 3 to train or to test on"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "mnist.npz", **{**digits(), **change})
    with pytest.raises(InputError, match=message):
        read_one_class(tmp_path / "mnist.npz", 3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", train_images=digits()["train_images"])
    with pytest.raises(InputError, match=r"short.npz has no train_labels, test_images, test_labels"):
        read_one_class(tmp_path / "short.npz", 0)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"text.npz is no .npz file of arrays without pickles"):
        read_one_class(tmp_path / "text.npz", 0)
    np.save(tmp_path / "single.npy", digits()["train_images"])
    with pytest.raises(InputError, match=r"single.npy is no .npz file of arrays"):
        read_one_class(tmp_path / "single.npy", 0)
    write_cifar(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_2.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_2.bin holds 30729 bytes; expected a multiple of 3073"):
        read_one_class(tmp_path / "cifar", 0)
    batch.write_bytes(b"\x0b" + bytes(3072))
    with pytest.raises(InputError, match=r"data_batch_2.bin names class 11; expected 0 to 9"):
        read_one_class(tmp_path / "cifar", 0)
    batch.unlink()
    with pytest.raises(InputError, match=r"cifar has no data_batch_2.bin; expected data_batch_1.bin to"):
        read_one_class(tmp_path / "cifar", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no t10k-labels-idx1-ubyte.gz; expected the four files"),
        (b"not gzip", "cannot be unpacked"),
        (gzip.compress(b"\0\0\x0d\1\0\0\0\1\0\0\0\0"), "begins with 00000d01; expected an IDX file of bytes"),
        (gzip.compress(b""), "begins with nothing"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\x0a123"), r"holds 11 bytes; expected 18 for \(10,\) values"),
        (gzip.compress(idx(TEST_CLASSES))[:-12], "cannot be unpacked"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    write_idx(tmp_path, digits())
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_one_class(tmp_path, 0)


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is neither MNIST .* nor CIFAR-10's binary version .*; it holds nothing"):
        read_one_class(tmp_path, 0)
    with pytest.raises(InputError, match="the normal class is 10; expected 0 to 9"):
        read_one_class(tmp_path, 10)


@pytest.mark.data
@pytest.mark.skipif("PROCTOR_DATA" not in os.environ, reason="PROCTOR_DATA points at no images")
def test_mnist_has_its_published_size() -> None:
    path = Path(os.environ["PROCTOR_DATA"]) / "mnist.npz"
    if not path.is_file():
        pytest.skip("PROCTOR_DATA holds no mnist.npz")
    train, test, labels = read_one_class(path, 0)
    assert (len(train), len(test), int((~labels).sum())) == (5923, 10000, 980)
