"""Charts as SVG: Vega-Lite specifications, drawn when the report is made.

Drawn beforehand, a report needs no script: a policy can forbid all of them, paper shows what the
screen shows, and a chart is a few kilobytes. Inlined, Vega's own scripts would be most of a
megabyte in each report and draw nothing where scripts are off. Colours are CSS variables, so that
one drawing does for light, dark and paper.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

from exporter.errors import one_line

Spec = dict[str, Any]

_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
_TEXT: Final = {"labelColor": "var(--soft)", "titleColor": "var(--soft)"}
_CONFIG: Final[Spec] = {
    "aria": False,  # the figure says what there is to see, and the table has every value
    "background": None,
    "font": "Liberation Sans, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": _TEXT
    | {
        "gridColor": "var(--grid)", "domainColor": "var(--grid)", "tickColor": "var(--grid)",
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "labelLimit": 180,
        "labelFlush": False,
    },
    "legend": _TEXT
    | {
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "orient": "top",
        "titleOrient": "top", "offset": 6, "labelLimit": 200,
    },
    "text": {"color": "var(--ink)", "fontSize": 11},
    "rule": {"color": "var(--soft)"},
}  # fmt: skip
#: Up to this width a chart is made smaller on a phone, and can be read; a wider one is scrolled.
_FITS_PHONES: Final = 560
#: Charts are drawn for phones; where there is room they are shown so much larger.
_SHOWN_LARGER: Final = 1.25
_NOTHING: Final[Spec] = {"data": {"values": []}, "mark": "point"}
_ROOT: Final = re.compile(r"<svg\b[^>]*?\bwidth=\"([\d.]+)\"[^>]*?\bheight=\"([\d.]+)\"[^>]*>")
_IDS: Final = re.compile(r"(\bid=\"|url\(#)([\w-]+)")


def draw(spec: Spec, label: str, number: int) -> str:
    """Return a chart as an SVG element for an HTML page.

    Args:
        spec: Vega-Lite, without schema and config; data inline.
        label: what there is to see, for those who cannot see it.
        number: of the chart on its page, so that the ids in it are its own.
    """
    from html import escape

    import vl_convert

    whole = {
        "$schema": _SCHEMA,
        "config": _CONFIG,
        "padding": {"left": 26, "right": 16, "top": 3, "bottom": 3},
    } | spec
    svg = str(vl_convert.vegalite_to_svg(whole, allowed_base_urls=[]))
    match = _ROOT.search(svg)
    if match is None:  # a library that draws something else must not go unseen
        raise ValueError("a chart was drawn that is no SVG")
    width, height = (float(text) for text in match.groups())
    inner = _IDS.sub(rf"\g<1>c{number}-\g<2>", svg[match.end() :])
    kind = "drawn wide" if width > _FITS_PHONES else "drawn"
    return (
        f'<svg class="{kind}" role="img" aria-label="{escape(label)}" '
        f'width="{_SHOWN_LARGER * width:g}" height="{_SHOWN_LARGER * height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">{inner}'
    )


def values(rows: Sequence[Spec]) -> Spec:
    """Return rows as the inline data of a chart."""
    return {"values": list(rows)}


def main() -> None:
    """Draw what is asked for on stdin, a chart a line, once the first has been drawn for practice.

    Starting takes most of a second, in which a report's numbers are being read.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started it says when to end
    draw(_NOTHING, "", 0)
    for line in sys.stdin:
        try:
            answer = {"svg": draw(**json.loads(line))}
        except ValueError as error:
            answer = {"error": one_line(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
