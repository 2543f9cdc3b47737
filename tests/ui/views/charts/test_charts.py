"""Charts: what they draw, with the right values, and nothing that a name could break."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest

from standpipe.ui.views.charts import (
    Bar,
    RocSeries,
    bar_chart,
    format_number,
    format_percent,
    heat_map,
    meter,
    roc_plot,
)
from standpipe.ui.views.charts.layers import Box, Edge, draw_layers
from standpipe.ui.views.charts.svg import element, shorten

HOSTILE = """<script>alert("x")</script> & 'quotes' \N{SNOWMAN}"""
SVG = "{http://www.w3.org/2000/svg}"


def parse(markup: str) -> ElementTree.Element:
    """Return a chart, which is well-formed XML without inline style."""
    tree = ElementTree.fromstring(markup)
    for each in tree.iter():
        assert not {"style", "onload", "onclick"} & set(each.keys())
        assert each.tag != f"{SVG}script"
    return tree


def titles(tree: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in tree.iter(f"{SVG}title")]


def texts(tree: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in tree.iter(f"{SVG}text")]


def rectangles(tree: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(each.attrib["x"]), float(each.attrib["width"])) for each in tree.iter(f"{SVG}rect")]


def test_elements_escape_texts_and_attributes() -> None:
    assert element("a", "<b>", element("i"), x=1, y=None, name='"') == '<a x="1" name="&#34;">&lt;b&gt;<i/></a>'


def test_a_chart_has_a_title_for_screen_readers() -> None:
    tree = parse(bar_chart([Bar("a", 1)], HOSTILE))

    assert tree.attrib["role"] == "img"
    assert tree.attrib["aria-label"] == HOSTILE
    assert titles(tree)[0] == HOSTILE


def test_bars_are_as_long_as_their_values() -> None:
    (first, half), (_, whole) = rectangles(parse(bar_chart([Bar("a", 5), Bar("b", 10)], "x")))

    assert half == whole / 2
    assert first == 190


def test_bars_of_negative_values_end_at_zero() -> None:
    (left, width), (zero, positive) = rectangles(parse(bar_chart([Bar("loss", -1), Bar("gain", 3)], "x")))

    assert left + width == zero
    assert positive == 3 * width


def test_a_missing_value_has_no_bar() -> None:
    tree = parse(bar_chart([Bar("a", None), Bar("b", 2)], "x"))

    assert len(rectangles(tree)) == 1
    assert "—" in texts(tree)


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0], [1e308, -1e308], [5e-324], [math.inf, 1.0]])
def test_bars_of_extreme_values_stay_in_the_picture(values: list[float]) -> None:
    tree = parse(bar_chart([Bar(str(value), value) for value in values], "x"))

    assert all(x >= 190 and x + width <= 491 for x, width in rectangles(tree))


def test_bars_can_have_limits() -> None:
    ((_, width),) = rectangles(parse(bar_chart([Bar("accuracy", 0.5)], "x", limits=(0, 1))))

    assert width == 150


def test_long_names_are_shortened_and_kept_in_the_title() -> None:
    name = "validation/" * 10
    tree = parse(bar_chart([Bar(name, 1)], "x"))

    assert f"{name}: 1" in titles(tree)
    assert len(texts(tree)[0]) == 28


def test_names_cannot_add_markup() -> None:
    parse(bar_chart([Bar(HOSTILE, 1)], HOSTILE))
    parse(heat_map([HOSTILE, "b"], [[1, 2], [3, 4]], HOSTILE))
    parse(roc_plot([RocSeries(HOSTILE, ((0, 0, 1), (1, 1, 0)), 0.5)], HOSTILE))


def test_a_meter_shows_a_fraction() -> None:
    tree = parse(meter(0.25))

    assert [each.attrib["width"] for each in tree.iter(f"{SVG}rect")] == ["100", "25"]
    assert titles(tree) == ["25 % of the range from 0 to 1"]


def test_a_heat_map_shows_counts_and_shares_of_rows() -> None:
    tree = parse(heat_map(["cat", "dog"], [[30, 10], [0, 5]], "Confusion matrix"))

    assert texts(tree) == [
        *("Predicted", "True", "cat", "dog", "cat", "dog"),
        *("30", "75 %", "10", "25 %", "0", "5", "100 %"),
    ]
    assert "True cat, predicted dog: 10 (25 % of the row)" in titles(tree)


def test_the_colour_of_a_cell_is_its_share_of_the_row() -> None:
    tree = parse(heat_map(["a", "b"], [[1000, 1], [0, 0]], "x"))

    levels = [each.attrib["class"] for each in tree.iter(f"{SVG}rect")]
    assert levels == ["heat-10", "heat-1", "heat-0", "heat-0"]


def test_many_categories_have_cells_without_text_and_more_are_left_out() -> None:
    names = [f"c{number}" for number in range(100)]
    tree = parse(heat_map(names, [[1] * 100] * 100, "x"))

    assert len(list(tree.iter(f"{SVG}rect"))) == 60 * 60
    assert len(texts(tree)) == 2 + 60 + 60


def test_long_categories_are_slanted_and_stay_in_the_picture() -> None:
    tree = parse(heat_map(["a rather long category", "b"], [[1, 0], [0, 1]], "x"))

    label = next(each for each in tree.iter(f"{SVG}text") if each.text == "a rather long category")
    assert label.attrib["transform"].startswith("rotate(-45")


def test_roc_curves_have_a_line_and_a_legend_each() -> None:
    first = RocSeries("run 1", ((0, 0, 1), (0, 1, 0.5), (1, 1, 0)), 1.0)
    second = RocSeries("run 2", ((0, 0, 1), (1, 1, 0)), 0.5)
    tree = parse(roc_plot([first, second]))

    lines = [each.attrib["points"] for each in tree.iter(f"{SVG}polyline")]
    assert lines == ["52.0,332.0 52.0,12.0 372.0,12.0", "52.0,332.0 372.0,12.0"]
    assert texts(tree)[-4:] == ["run 1", "AUC 1.0000", "run 2", "AUC 0.5000"]


def test_points_of_a_roc_curve_say_their_thresholds() -> None:
    tree = parse(roc_plot([RocSeries("test", ((0.25, 0.5, 0.75),), 0.6)]))

    assert "test: threshold 0.75, false positive rate 0.25, true positive rate 0.5" in titles(tree)


def test_a_long_roc_curve_is_thinned_and_keeps_its_ends() -> None:
    points = tuple((number / 9999, (number / 9999) ** 0.5, 0.0) for number in range(10_000))
    tree = parse(roc_plot([RocSeries("test", points, 0.66)]))

    (line,) = (each.attrib["points"].split() for each in tree.iter(f"{SVG}polyline"))
    assert len(line) == 320
    assert (line[0], line[-1]) == ("52.0,332.0", "372.0,12.0")
    assert not list(tree.iter(f"{SVG}circle"))


def test_there_may_be_more_curves_than_colours() -> None:
    tree = parse(roc_plot([RocSeries(str(number), ((0, 0, 1),), 0.5) for number in range(12)]))

    assert len(list(tree.iter(f"{SVG}polyline"))) == 12


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9733333333, "0.973333"), (1234567, "1,234,567"), (1e-12, "1e-12"), (-3.0, "-3"), (1e300, "1e+300")],
)
def test_numbers_have_six_digits(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.5, "50 %"), (1e-9, "<0.1 %"), (0.99999, ">99.9 %"), (1, "100 %")])
def test_percentages_are_never_0_or_100_by_rounding(fraction: float, text: str) -> None:
    assert format_percent(fraction) == text


def test_texts_are_shortened_in_their_middle() -> None:
    assert shorten("a\nb" + "c" * 50 + "end", 11) == "a bcc…ccend"


def test_layers_have_a_box_for_each_item_and_a_curve_for_each_edge() -> None:
    columns = [
        [Box("a", "", "/a", "task"), Box("b", "x", "", "task")],
        [],
        [Box(HOSTILE, "", "/c?x=1&y=2", "artifact")],
    ]
    tree = parse(draw_layers(columns[::2], [Edge(0, 0, 0), Edge(0, 1, 0, is_weak=True)], "Lineage"))

    assert [each.attrib["href"] for each in tree.iter(f"{SVG}a")] == ["/a", "/c?x=1&y=2"]
    curves = [each.attrib["class"] for each in tree.iter(f"{SVG}path") if "edge" in each.attrib["class"]]
    assert curves == ["layer-edge", "layer-edge weak"]
    assert tree.attrib["role"] == "group"


def test_layers_without_boxes_are_left_out() -> None:
    columns = [[Box("a", "", "", "task")], [], [Box("b", "", "", "task")]]
    with_gap, without = draw_layers(columns, [], "x"), draw_layers(columns[::2], [], "x")

    assert parse(with_gap).attrib["width"] == parse(without).attrib["width"]
    parse(draw_layers([], [], "x"))
