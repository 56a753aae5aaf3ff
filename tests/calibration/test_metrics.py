"""The metrics against a threshold loop that shares no code with them, and against cases worked out by hand."""

import tracemalloc

import numpy as np
import pytest
from metrics_by_definition import Maps, Masks, distinct_maps, naive_area, naive_auroc, naive_curve, random_set

from calibration.metrics import PIECE, au_pro, auroc, pixel_auroc, pro_curve, rank_pixels
from runtime.errors import InputError


@pytest.mark.parametrize("levels", [2, 7, 10**6])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_au_pro_equals_the_threshold_loop(levels: int, limit: float) -> None:
    maps, masks = random_set(seed=levels, levels=levels)
    assert au_pro(maps, masks, limit) == pytest.approx(naive_area(*naive_curve(maps, masks), limit), abs=1e-9)


@pytest.mark.parametrize("levels", [2, 7, 10**6])
def test_the_curve_passes_through_every_point_of_the_threshold_loop(levels: int) -> None:
    maps, masks = random_set(seed=levels, levels=levels)
    curve = pro_curve(maps, masks)
    for fpr, pro in zip(*naive_curve(maps, masks), strict=True):
        corners = curve.value[np.isclose(curve.fpr, fpr, rtol=0, atol=1e-12)]
        if corners.size:  # a vertical step: any height between its ends lies on the curve
            assert corners.min() - 1e-9 <= pro <= corners.max() + 1e-9
        else:
            assert np.interp(fpr, curve.fpr, curve.value) == pytest.approx(pro, abs=1e-9)


@pytest.mark.parametrize("levels", [2, 7, 10**6])
def test_both_aurocs_equal_a_count_of_pairs(levels: int) -> None:
    maps, masks = random_set(seed=levels, levels=levels)
    scores, labels = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    expected = naive_auroc(scores, labels)
    assert pixel_auroc(maps, masks) == pytest.approx(expected, abs=1e-12)
    assert auroc(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_auroc_counts_a_tie_as_half() -> None:
    assert auroc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5
    # pairs (defective over good): 3>1, 3>2, 2>1, 2=2, so 3.5 of 4
    assert auroc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])) == 3.5 / 4


def test_small_and_large_regions_weigh_the_same() -> None:
    scores = np.zeros((1, 20), np.float32)
    mask = np.zeros((1, 20), bool)
    mask[0, 0], mask[0, 2:11] = True, True  # regions of 1 and 9 pixels, 10 good pixels
    scores[0, 0] = 1.0  # only the small one is found
    # PRO is 1/2 at FPR 0; the score 0 is shared by all the rest: a straight line to (1, 1)
    assert au_pro([scores], [mask], 1.0) == pytest.approx(0.75)
    assert au_pro([scores], [mask], 0.3) == pytest.approx((0.5 + 0.65) / 2)
    assert pixel_auroc([scores], [mask]) == pytest.approx(0.1 + 0.9 / 2)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], bool)  # two regions of two pixels
    scores = np.zeros((3, 4), np.float32)
    scores[0, 0] = 1.0
    curve = pro_curve([scores], [mask])
    assert curve.value[np.flatnonzero(curve.fpr == 0)].max() == pytest.approx(0.25)  # 1/2 of one of two regions


def test_a_perfect_map_scores_one_and_a_flat_one_follows_the_diagonal() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:4, 2:5] = True
    perfect, flat = mask.astype(np.float32), np.ones((10, 10), np.float32)
    assert (au_pro([perfect], [mask]), au_pro([perfect], [mask], 0.05)) == (1.0, 1.0)
    assert pixel_auroc([perfect], [mask]) == 1.0
    assert au_pro([flat], [mask], 0.3) == pytest.approx(0.15)
    assert pixel_auroc([flat], [mask]) == 0.5


def test_both_limits_are_those_of_a_curve_drawn_by_hand() -> None:
    # ten good pixels score 10 … 1, the defect's four 8.5, 6.5, 6.5 and 0.5: PRO rises to 1/4 at FPR 0.2, to 3/4 at 0.4
    mask = np.array([[True] * 4 + [False] * 10])
    scores = np.array([[8.5, 6.5, 6.5, 0.5, *range(10, 0, -1)]], np.float32)
    assert au_pro([scores], [mask], 0.05) == 0.0
    assert au_pro([scores], [mask], 0.3) == pytest.approx(0.1 * 0.25 / 0.3)
    assert au_pro([scores], [mask], 0.5) == pytest.approx((0.2 * 0.25 + 0.1 * 0.75) / 0.5)
    assert au_pro([scores], [mask], 1.0) == pytest.approx(0.2 * 0.25 + 0.6 * 0.75)


def test_a_limit_within_a_tie_cuts_its_slope() -> None:
    # one score for half of the good pixels and all of the defect: the curve is a line from (0, 0) to (0.5, 1)
    mask = np.array([[True, True, False, False]])
    scores = np.array([[1, 1, 1, 0]], np.float32)
    for limit in (0.05, 0.3):
        assert au_pro([scores], [mask], limit) == pytest.approx(limit / 0.5 / 2)


def test_a_region_of_one_pixel_is_found_or_not_in_one_step() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    scores = np.arange(20, dtype=np.float32).reshape(4, 5)  # 13 at the defect, six of 19 good pixels above
    assert au_pro([scores], [mask], 0.3) == 0.0
    assert au_pro([scores], [mask], 1.0) == pytest.approx(1 - 6 / 19)


def test_a_ring_of_corners_is_one_region_and_weighs_as_one() -> None:
    mask = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)  # its pixels touch at corners alone
    joined = mask.copy()
    joined[2, 2] = True  # now the corner pixel belongs to it, too
    scores = np.zeros((4, 4), np.float32)
    scores[3, 3] = 1.0
    assert pro_at_zero(scores, mask) == pytest.approx(1 / 2)
    assert pro_at_zero(scores, joined) == pytest.approx(1 / 6)


def pro_at_zero(scores: np.ndarray, mask: np.ndarray) -> float:
    curve = pro_curve([scores], [mask])
    return float(curve.value[curve.fpr == 0].max())


def test_good_images_count_into_the_false_positive_rate() -> None:
    mask = np.array([[True, False]])
    scores = np.array([[0.5, 0.0]], np.float32)
    good = np.array([[1.0, 0.0]], np.float32)  # one of three good pixels lies above the defect
    assert au_pro([scores, good], [mask, np.zeros((1, 2), bool)], 1.0) == pytest.approx(2 / 3)


def test_negative_zero_equals_zero() -> None:
    assert pixel_auroc([np.array([[0.0, -0.0]], np.float32)], [np.array([[True, False]])]) == 0.5


@pytest.mark.parametrize("piece", [1, 2, 5])
@pytest.mark.parametrize("levels", [2, 7, 10**6])
def test_a_curve_in_pieces_is_the_whole_one(monkeypatch: pytest.MonkeyPatch, piece: int, levels: int) -> None:
    maps, masks = random_set(seed=levels, levels=levels)
    whole = rank_pixels(maps, masks)
    expected = [(c.fpr, c.value, c.area(0.05), c.area(0.3)) for c in (whole.pro_curve(), whole.roc_curve())]
    monkeypatch.setattr("calibration.metrics.PIECE", piece)  # runs of equal scores go on over many of them
    for curve, (fpr, value, *areas) in zip((whole.pro_curve(), whole.roc_curve()), expected, strict=True):
        np.testing.assert_array_equal(curve.fpr, fpr)
        np.testing.assert_allclose(curve.value, value, rtol=0, atol=1e-12)
        assert [curve.area(0.05), curve.area(0.3)] == pytest.approx(areas, abs=1e-12)
        assert (np.diff(curve.value) >= 0).all()


def test_an_outline_is_small_and_close_to_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = distinct_maps(4, 64, np.random.default_rng(0))
    masks = [np.tri(64, dtype=bool) for _ in maps]
    monkeypatch.setattr("calibration.metrics.DRAWN", 20)
    curve = pro_curve(maps, masks)
    fpr, value = curve.outline()
    assert len(fpr) <= 2 * (2 * 20 + 1) < len(curve.fpr) / 50
    assert (fpr[0], value[0], fpr[-1], value[-1]) == (0, 0, 1, 1)
    assert np.abs(np.interp(curve.fpr, fpr, value) - curve.value).max() <= 1 / 20


@pytest.mark.parametrize("share", [0.05, 0.35, 0.9])
def test_memory_is_eight_bytes_a_pixel_at_most_whatever_is_defective(share: float) -> None:
    """At 100 maps of 1024×1024 these are 0.8 GB beside the arguments, which take 0.5."""
    maps = distinct_maps(16, 256, np.random.default_rng(0))
    masks = [np.zeros((256, 256), bool) for _ in maps]
    for mask in masks:
        mask[: round(256 * share)] = True
    defective = sum(int(mask.sum()) for mask in masks)
    good = sum(mask.size for mask in masks) - defective
    one_image = 256 * 256 * 24  # labels and selections of the image at hand
    one_piece = 150 * PIECE

    tracemalloc.start()
    ranking = rank_pixels(maps, masks)
    ranked = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    ranking.pro_curve().area(0.3)
    ranking.roc_curve().area()
    ranking.roc_curve().outline()
    curves = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ranked < 4 * good + 8 * defective + one_image
    assert curves < 4 * good + 8 * defective + one_piece


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([np.zeros((2, 2), np.float32)], [], "1 anomaly maps and 0 masks"),
        ([np.zeros((2, 2), np.float32)], [np.ones((2, 3), bool)], "expected the same"),
        ([np.zeros(4, np.float32)], [np.ones(4, bool)], "expected the same"),
        ([np.zeros((2, 2))], [np.ones((2, 2), bool)], "float64"),
        ([np.zeros((2, 2), np.float32)], [np.ones((2, 2), np.uint8)], "uint8"),
        ([np.full((2, 2), np.nan, np.float32)], [np.eye(2, dtype=bool)], "NaN or infinite"),
        ([np.full((2, 2), np.inf, np.float32)], [np.eye(2, dtype=bool)], "NaN or infinite"),
        ([np.zeros((2, 2), np.float32)], [np.zeros((2, 2), bool)], "0 defective and 4 good"),
        ([np.zeros((2, 2), np.float32)], [np.ones((2, 2), bool)], "4 defective and 0 good"),
        ([], [], "0 defective and 0 good"),
    ],
)
def test_pixel_metrics_refuse_what_they_cannot_measure(maps: Maps, masks: Masks, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_pixels(maps, masks)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_au_pro_refuses_a_limit_outside_zero_to_one(limit: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        au_pro([np.zeros((1, 2), np.float32)], [np.array([[True, False]])], limit)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [True, True], "0 good and 2 defective"),
        ([1.0, 2.0], [False, False], "2 good and 0 defective"),
        ([1.0, float("nan")], [False, True], "NaN or infinite"),
        ([1.0], [False, True], "two equal lists"),
    ],
)
def test_auroc_refuses_what_it_cannot_measure(scores: list[float], labels: list[bool], message: str) -> None:
    with pytest.raises(InputError, match=message):
        auroc(np.array(scores), np.array(labels))


def test_the_definition_is_right_on_a_case_worked_out_by_hand() -> None:
    # the defect is found after one of two good pixels: nothing up to FPR 0.5, everything from there on
    maps, masks = [np.array([[2, 3, 1]], np.float32)], [np.array([[True, False, False]])]
    fpr, pro = naive_curve(maps, masks)
    assert (fpr, pro) == ([0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0])
    assert naive_area(fpr, pro, 1.0) == 0.5
    assert naive_area(fpr, pro, 0.5) == 0.0
    assert naive_area([0.0, 1.0], [0.0, 1.0], 0.5) == 0.25  # a slope is cut at the limit
    assert naive_auroc(maps[0][0], masks[0][0]) == 0.5


def test_the_random_sets_hold_ties_between_good_and_defective_pixels() -> None:
    for levels in (2, 5, 20):
        maps, masks = random_set(0, levels)
        good = {float(score) for m, mask in zip(maps, masks, strict=True) for score in m[~mask]}
        assert good & {float(score) for m, mask in zip(maps, masks, strict=True) for score in m[mask]}


def test_no_two_scores_of_a_cost_are_equal() -> None:
    scores = np.stack(distinct_maps(20, 256, np.random.default_rng(0)))
    assert scores.dtype == np.float32
    assert len(np.unique(scores)) == scores.size
    assert 0 < scores.min() < scores.max() == 1
    assert np.corrcoef(scores.ravel()[:-1], scores.ravel()[1:])[0, 1] == pytest.approx(0, abs=0.01)
