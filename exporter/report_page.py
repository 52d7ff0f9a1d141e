"""The report as one HTML file, which reads nothing else: no script, font, image or address."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from exporter import __version__
from exporter.errors import TelemetryError, printable
from exporter.render_budget import moment
from exporter.report_data import Report
from exporter.report_sections import sections
from exporter.report_svg import Spec, draw
from exporter.report_words import cards, headline, subtitle

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_UNIT: Final = re.compile(r"(?<=\d) (?=%|×|(?:ms|s|h|d|MiB|points|UTC)\b)")
#: What a report may weigh at most, so that it passes through mail (bytes).
MOST_BYTES: Final = 3_000_000


def page(report: Report, draw: Callable[[Spec, str, int], str] = draw) -> str:
    """Return the report as HTML.

    All texts are escaped by the template engine: names of runs, hosts and files are whatever a
    crawler recorded. The style is named by its hash, and nothing else is allowed.

    Args:
        report: what it tells.
        draw: what draws a chart, as `report_svg.draw` does.

    Raises:
        TelemetryError: it would be too large.
    """
    import jinja2
    from markupsafe import Markup

    found = sections(report)
    drawn: dict[str, list[tuple[object, list[Markup]]]] = {}
    number = 0
    for section in found:
        pairs = drawn.setdefault(section.anchor, [])
        for figure in section.figures:
            label = f"{figure.title or section.title}: {figure.takeaway}"
            specs = [spec for spec in (figure.spec, figure.narrow) if spec is not None]
            # one of two is shown, the screen says which
            svgs = [Markup(draw(spec, label, number + place)) for place, spec in enumerate(specs)]
            number += len(specs)
            pairs.append((figure, svgs))
    style = (_TEMPLATES / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_kept_together,
        undefined=jinja2.StrictUndefined,
    )
    text = engine.get_template("report.html.j2").render(
        headline=headline(report),
        subtitle=subtitle(report),
        cards=cards(report),
        sections=found,
        drawn=drawn,
        definitions=report.definitions,
        closing=closing(report),
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
    )
    if len(text.encode()) > MOST_BYTES:
        raise TelemetryError(
            f"the report would be {len(text.encode()):,} bytes, over {MOST_BYTES:,}: "
            "look back on fewer runs with --last"
        )
    return text


def _kept_together(value: object) -> object:
    """Return a text whose numbers do not part from their units at the end of a line."""
    if type(value) is not str:  # what is markup already stays as it is
        return value
    return _UNIT.sub("\u00a0", value)


def closing(report: Report) -> str:
    """Say what made the report, when, and of what."""
    return (
        f"Made by docstokg-telemetry {__version__} at {moment(report.made_at)} UTC from "
        f"{printable(report.source)}."
    )
