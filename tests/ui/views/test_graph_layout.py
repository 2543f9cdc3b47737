"""Where the nodes of a graph are: below what they depend on, and never on top of each other."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from standpipe.ui.views.graph_layout import Placement, place

SIZE = (100.0, 40.0)


def overlaps(placement: Placement) -> list[tuple[str, str]]:
    return [
        (one, other)
        for (one, a), (other, b) in combinations(placement.boxes.items(), 2)
        if a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height
    ]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]:
    count = draw(st.integers(1, 15))
    pairs = [(f"n{a}", f"n{b}") for a, b in combinations(range(count), 2)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    sizes = {f"n{number}": (draw(st.sampled_from([40.0, 100.0, 240.0])), 40.0) for number in range(count)}
    return sizes, edges


@given(graphs())
def test_every_node_is_below_what_it_depends_on_and_none_overlap(
    graph: tuple[dict[str, tuple[float, float]], list[tuple[str, str]]],
) -> None:
    sizes, edges = graph
    placement = place(sizes, edges)
    assert set(placement.boxes) == set(sizes)
    assert not overlaps(placement)
    for source, target in edges:
        assert placement.boxes[source].y + 40 < placement.boxes[target].y
        assert placement.paths[source, target].startswith("M")
    for box in placement.boxes.values():
        assert 0 <= box.x <= placement.width - box.width
        assert 0 <= box.y <= placement.height - box.height


def test_a_chain_is_straight() -> None:
    placement = place(dict.fromkeys("abc", SIZE), [("a", "b"), ("b", "c")])
    assert len({box.x for box in placement.boxes.values()}) == 1


def test_a_node_is_in_the_middle_above_two_that_depend_on_it() -> None:
    boxes = place(dict.fromkeys("abc", SIZE), [("a", "b"), ("a", "c")]).boxes
    assert boxes["a"].x == (boxes["b"].x + boxes["c"].x) / 2


def test_edges_that_do_not_cross_need_not_cross() -> None:
    edges = [("a", "d"), ("b", "c")]
    boxes = place(dict.fromkeys("abcd", SIZE), edges).boxes
    assert (boxes["a"].x < boxes["b"].x) == (boxes["d"].x < boxes["c"].x)


def test_edges_of_unknown_nodes_and_circles_do_no_harm() -> None:
    placement = place(dict.fromkeys("ab", SIZE), [("a", "b"), ("b", "a"), ("a", "x"), ("a", "a")])
    assert set(placement.boxes) == {"a", "b"}


def test_no_nodes_make_a_small_picture() -> None:
    assert place({}, []).boxes == {}
