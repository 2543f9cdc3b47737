"""Charts as SVG, drawn in Python: pages, reports and notebooks show the same.

Colours come from `static/charts.css`, by classes; sizes and positions are attributes, since the Content-Security-Policy
of the pages allows no inline style.
"""

from standpipe.ui.views.charts.bars import Bar, bar_chart, meter
from standpipe.ui.views.charts.heat_map import heat_map
from standpipe.ui.views.charts.numbers import format_number, format_percent
from standpipe.ui.views.charts.roc import RocSeries, roc_plot
from standpipe.ui.views.charts.svg import element, join, shorten, svg

__all__ = [
    "Bar",
    "RocSeries",
    "bar_chart",
    "element",
    "format_number",
    "format_percent",
    "heat_map",
    "join",
    "meter",
    "roc_plot",
    "shorten",
    "svg",
]
