"""The page: whatever a text holds is shown as it is, and nothing is fetched from elsewhere."""

import base64
from html.parser import HTMLParser

import pytest

from benchmarks.accuracy import page

HOSTILE = "<script>alert('&\"x\"')</script>"


class Reader(HTMLParser):
    """Collects elements, with their attributes, and text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "part",
    [
        page.paragraph(HOSTILE),
        page.facts([(HOSTILE, HOSTILE)]),
        page.table([HOSTILE], [[HOSTILE]]),
        page.picture(b"x", "png", HOSTILE, HOSTILE),
        page.section(HOSTILE),
        page.subsection(HOSTILE),
    ],
)
def test_text_cannot_become_markup(part: page.Html) -> None:
    reader = Reader(page.page(HOSTILE, part))
    assert "script" not in [tag for tag, _ in reader.elements]
    assert reader.text.count(HOSTILE) >= 3  # title, heading and the part itself
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)


def test_a_description_survives_its_quotes() -> None:
    reader = Reader(page.picture(b"x", "png", HOSTILE))
    assert dict(reader.elements)["img"]["alt"] == HOSTILE


def test_a_picture_lies_inside_the_page() -> None:
    source = dict(Reader(page.picture(b"bytes", "jpeg", "a picture")).elements)["img"]["src"]
    assert source == f"data:image/jpeg;base64,{base64.b64encode(b'bytes').decode()}"


def test_a_name_that_is_no_utf_8_is_shown_with_question_marks() -> None:
    assert page.escaped("part\udcff.png") == "part?.png"
    page.page("part\udcff.png").encode()


def test_columns_are_as_many_as_asked_for() -> None:
    markup = page.columns(3, [page.paragraph("a")] * 4)
    assert "repeat(3," in markup
    assert markup.count("<p>") == 4
