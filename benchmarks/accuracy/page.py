"""A page of HTML in one file: pictures inside it, no scripts, nothing fetched; made to be read on paper too.

Every function that takes a `str` escapes it, since names of files may hold anything; what is markup already is `Html`.
"""

import base64
import html
from collections.abc import Sequence
from typing import Literal, NewType

Html = NewType("Html", str)
PictureKind = Literal["svg+xml", "png", "jpeg"]

STYLE = """
@page { size: A4; margin: 10mm 12mm; }
body { font: 10pt/1.35 "Helvetica Neue", Arial, "Liberation Sans", sans-serif; color: #111; background: #fff;
  max-width: 186mm; margin: 8mm auto; padding: 0 4mm; }
h1 { font-size: 17pt; margin: 0 0 1mm; }
h2 { font-size: 12pt; margin: 5mm 0 1.5mm; border-bottom: 0.3mm solid #111; break-after: avoid; }
h3 { font-size: 10pt; margin: 4mm 0 1mm; break-after: avoid; }
p { margin: 1.5mm 0; overflow-wrap: anywhere; }
p.lead { font-size: 12pt; }
table { border-collapse: collapse; width: 100%; margin: 2mm 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.4mm 3mm 0.4mm 0; border-bottom: 0.2mm solid #ccc;
  overflow-wrap: break-word; }
th { font-weight: 600; }
table.facts td { overflow-wrap: anywhere; }
table.facts td:first-child { white-space: nowrap; width: 1%; padding-right: 6mm; color: #444; }
tr, figure { break-inside: avoid; }
div.row { display: grid; gap: 2mm 4mm; align-items: start; }
figure { margin: 1mm 0; min-width: 0; }
figure img { width: 100%; display: block; }
figcaption { font-size: 8pt; color: #444; overflow-wrap: anywhere; }
@media print { body { margin: 0; padding: 0; max-width: none; -webkit-print-color-adjust: exact;
  print-color-adjust: exact; } }
"""


def escaped(text: str) -> Html:
    """Text as markup that shows it as it is. Bytes of a file's name that are no UTF-8 are shown as `?`."""
    return Html(html.escape(text.encode("utf-8", "replace").decode("utf-8")))


def paragraph(text: str, lead: bool = False) -> Html:
    """A paragraph, larger when it leads the page."""
    return Html(f"<p{' class=lead' if lead else ''}>{escaped(text)}</p>")


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """A table of names and what they are."""
    rows = "".join(f"<tr><td>{escaped(name)}</td><td>{escaped(text)}</td></tr>" for name, text in pairs)
    return Html(f'<table class="facts">{rows}</table>')


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table with a head."""
    head = "".join(f"<th>{escaped(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def picture(data: bytes, kind: PictureKind, description: str, caption: str = "") -> Html:
    """A picture inside the page; `description` stands in where it cannot be seen."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    below = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
    return Html(f'<figure><img src="{source}" alt="{escaped(description)}">{below}</figure>')


def columns(count: int, parts: Sequence[Html]) -> Html:
    """Parts side by side, `count` to a row."""
    style = f"grid-template-columns: repeat({count}, minmax(0, 1fr))"
    return Html(f'<div class="row" style="{style}">{"".join(parts)}</div>')


def section(title: str, *parts: Html) -> Html:
    """Parts under a heading."""
    return Html(f"<section><h2>{escaped(title)}</h2>{''.join(parts)}</section>")


def subsection(title: str, *parts: Html) -> Html:
    """Parts under a smaller heading."""
    return Html(f"<h3>{escaped(title)}</h3>{''.join(parts)}")


def page(title: str, *parts: Html) -> str:
    """The whole document, in UTF-8."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escaped(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )
