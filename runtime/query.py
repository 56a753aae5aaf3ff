"""Options behind an address or a path: ``PLACE?name=value&…``, as cameras, records and line controllers take them."""

from collections.abc import Collection
from urllib.parse import parse_qsl

from runtime.errors import InputError


def options_in(query: str, known: Collection[str]) -> tuple[dict[str, str], str]:
    """The options of ``name=value&…`` by name, and what is wrong with them in words; empty where nothing is.

    An option that is not `known` or is given twice would be ignored unseen.
    """
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    unknown = sorted(set(options) - set(known))
    if unknown or (query and not given):
        return options, ", ".join(unknown) or "no names"
    twice = sorted({name for name, _ in given if [each for each, _ in given].count(name) > 1})
    return options, f"{', '.join(twice)} twice" if twice else ""


def with_options(what: str, text: str, known: Collection[str], expected: str) -> tuple[str, dict[str, str]]:
    """The place and the options by name.

    `what` is who takes it, as in ``--records``, and `expected` how it has to look. Raises `InputError` for options that
    `options_in` finds wrong, and for a ``?`` that nothing follows.
    """
    place, mark, query = text.partition("?")
    options, wrong = options_in(query, known)
    if wrong or (mark and not options):
        raise InputError(f"{what} is {text!r}; {expected}")
    return place, options
