"""Work done one step ahead: in order, really ahead, and with its errors in the right place."""

import threading

import pytest

from train.ahead import ahead


@pytest.mark.parametrize("steps", [range(0), range(3, 4), range(5), range(2, 9, 3)])
def test_every_step_comes_once_and_in_order(steps: range) -> None:
    assert list(ahead(lambda step: step * 10, steps)) == [step * 10 for step in steps]


def test_the_next_step_is_made_while_the_caller_works_and_no_further_one() -> None:
    begun = [threading.Event() for _ in range(4)]

    def make(step: int) -> threading.Thread:
        begun[step].set()
        return threading.current_thread()

    made = ahead(make, range(4))
    assert next(made) is not threading.current_thread()
    assert begun[1].wait(timeout=10)
    assert not begun[2].wait(timeout=0.05)
    made.close()  # type: ignore[attr-defined]
    assert not begun[2].is_set()


def test_an_error_is_raised_at_its_own_step() -> None:
    made = ahead(lambda step: 1 // (2 - step), range(5))
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(made)
