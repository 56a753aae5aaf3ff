"""Options of the compared methods that cannot be used: refused as they are made, each in one sentence."""

import pytest

from benchmarks.methods.base import LARGEST_SEED, Setting
from benchmarks.methods.registry import METHODS, method_options
from runtime.errors import InputError


@pytest.mark.parametrize(
    ("method", "option", "value", "expected"),
    [
        *[(m, o, v, "1 or more") for m in ("autoencoder", "ssim-ae") for o in ("latent", "width") for v in (0, -1)],
        ("autoencoder", "weight_decay", -1.0, "0 or more"),
        ("autoencoder", "learning_rate", 0.0, "a number above 0"),
        ("ssim-ae", "window", 0, "1 or more"),
        *[("anogan", option, value, "1 or more") for option in ("latent", "width", "steps") for value in (0, -1)],
        *[("anogan", option, -1.0, "a number above 0") for option in ("learning_rate", "search_rate")],
        ("anogan", "search_steps", -1, "0 or more"),
        *[("ocgan", option, value, "1 or more") for option in ("latent", "width") for value in (0, -1)],
        *[("ocgan", "learning_rate", value, "a number above 0") for value in (0.0, -1.0)],
        *[("ocgan", option, -1.0, "0 or more") for option in ("reconstruction", "latent_weight", "noise")],
        ("ocgan", "batch_size", 1, "2 or more"),
        ("ocgan", "mine_from", 1.5, "a share of 0 to 1"),
        ("dictionary", "samples", 0, "2 or more"),
        ("dictionary", "input_size", 0, "1 or more"),
        *[("dictionary", "explained", value, "a share between 0 and 1") for value in (0.0, -1.0, 2.0)],
        ("dfr", "explained", 1.0, "a share between 0 and 1"),
        ("dfr", "region", 0, "1 or more"),
        ("k-nn", "columns", 0, "1 or more"),
        ("patchcore", "coreset", 1, "2 or more"),
        ("patchcore", "sigma", -1.0, "0 or more"),
        *[("padim", option, 0, "1 or more") for option in ("channels", "pool")],
        ("padim", "sigma", -1.0, "0 or more"),
        ("padim", "regularization", 0.0, "a number above 0"),
        ("stfpm", "steps", 0, "1 or more"),
        ("stfpm", "batch_size", 1, "2 or more"),
        ("stfpm", "learning_rate", 0.0, "a number above 0"),
        ("stfpm", "weight_decay", -1.0, "0 or more"),
        ("l2-ae", "hidden", 0, "1 or more"),
        ("vae", "deviation", 0.0, "a number above 0"),
        ("vae", "draws", 0, "1 or more"),
    ],
)
def test_a_number_out_of_bounds_is_refused(method: str, option: str, value: float, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        method_options(method, {option: str(value)})
    assert str(caught.value) == f"{method}: {option} is {value}; expected {expected}"


@pytest.mark.parametrize("method", METHODS)
def test_every_methods_own_options_are_within_bounds(method: str) -> None:
    method_options(method, {})


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_a_seed_that_some_method_cannot_take_is_refused_for_all(seed: int) -> None:
    Setting(LARGEST_SEED)
    with pytest.raises(InputError, match=f"the seed is {seed}; expected 0 to 4294967295"):
        Setting(seed)
