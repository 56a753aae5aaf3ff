"""What the numbers among a method's options may be: `Options` refuse the others as they are made, in one sentence."""

from runtime.errors import InputError


def at_least(options: object, **least: float) -> None:
    """Raise `InputError` for a named option that is below its number; None passes."""
    for name, number in least.items():
        value = getattr(options, name)
        if value is not None and value < number:
            raise InputError(f"{name} is {value}; expected {number} or more")


def above_zero(options: object, *names: str) -> None:
    """Raise `InputError` for a named option that is 0 or less."""
    for name in names:
        if (value := getattr(options, name)) <= 0:
            raise InputError(f"{name} is {value}; expected a number above 0")


def proper_shares(options: object, *names: str) -> None:
    """Raise `InputError` for a named option that is not between 0 and 1, both left out."""
    for name in names:
        if not 0 < (value := getattr(options, name)) < 1:
            raise InputError(f"{name} is {value}; expected a share between 0 and 1")
