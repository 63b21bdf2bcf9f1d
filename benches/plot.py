"""A bar plot as SVG text: horizontal bars, one colour for ours and one for the peers."""

from collections.abc import Mapping
from html import escape

from benches.peers import OTO_TRIO

WIDTH = 640
LABEL = 90
BAR = 22
GAP = 10
TOP = 40


def bars(title: str, values: Mapping[str, float]) -> str:
    """Return an SVG of one bar a value; shorter is better for everything that is plotted."""
    height = TOP + (BAR + GAP) * len(values) + GAP
    longest = max(values.values(), default=0) or 1
    room = WIDTH - LABEL - 90
    name_of_plot = escape(title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" role="img" aria-label="{name_of_plot}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{GAP}" y="24" font-weight="bold" fill="#222222">{name_of_plot}</text>',
    ]
    for number, (name, value) in enumerate(values.items()):
        y = TOP + number * (BAR + GAP)
        width = max(room * value / longest, 1)
        colour = "#d9822b" if name == OTO_TRIO.name else "#8a9ba8"
        middle = y + BAR * 0.7
        parts += [
            f'<text x="{LABEL - GAP}" y="{middle:.1f}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LABEL + width + 6:.1f}" y="{middle:.1f}">{value:,.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
