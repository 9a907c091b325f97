"""The layout of a graph, in layers."""

import os
import random
import subprocess
import sys
from itertools import pairwise

import pytest

from caravan.console.layout import Edge, Layout, lay_out

SPACING = 100.0


def laid_out(*edges: Edge) -> Layout:
    return lay_out(tuple(dict.fromkeys(node for edge in edges for node in edge)), edges, SPACING)


def any_graph(seed: int) -> tuple[Edge, ...]:
    """A graph in which the first node leads to all others, with circles and edges from nodes to themselves."""
    chance = random.Random(seed)
    count = chance.randint(2, 60)
    edges = [(f"n{chance.randrange(index)}", f"n{index}") for index in range(1, count)]
    edges += [(f"n{chance.randrange(count)}", f"n{chance.randrange(count)}") for _ in range(chance.randrange(count))]
    return tuple(dict.fromkeys(edges))


def test_a_graph_leads_downwards_from_its_first_node() -> None:
    found = laid_out(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
    assert [found.nodes[each].layer for each in "abcd"] == [0, 1, 1, 2]
    assert found.layers == 3


def test_what_is_written_first_stands_on_the_left() -> None:
    found = laid_out(("a", "b"), ("a", "c"), ("a", "d"))
    assert found.nodes["b"].x < found.nodes["c"].x < found.nodes["d"].x


def test_an_edge_from_a_node_to_itself_has_no_route_and_ends_no_process() -> None:
    assert laid_out(("a", "a")).nodes.keys() == {"a"}
    found = laid_out(("a", "b"), ("b", "b"))
    assert (found.routes["b", "b"], found.layers) == ([], 2)


def test_an_edge_that_leads_back_is_routed_upwards() -> None:
    found = laid_out(("a", "b"), ("b", "c"), ("c", "a"))
    assert [found.nodes[each].layer for each in "abc"] == [0, 1, 2]
    assert [point.layer for point in found.routes["c", "a"]] == [2, 1, 0]


def test_two_nodes_that_lead_to_each_other_are_both_routed() -> None:
    found = laid_out(("a", "b"), ("b", "a"))
    assert found.routes["a", "b"] == [found.nodes["a"], found.nodes["b"]]
    assert found.routes["b", "a"] == [found.nodes["b"], found.nodes["a"]]


def test_a_node_without_edges_stands_beside_the_others() -> None:
    assert lay_out(("a",), (), SPACING).layers == 1
    found = lay_out(("a", "b", "c"), (("a", "b"),), SPACING)
    assert len({found.nodes[each] for each in "abc"}) == 3


@pytest.mark.parametrize("seed", range(60))
def test_no_two_nodes_overlap_and_every_route_passes_layer_by_layer_between_them(seed: int) -> None:
    edges = any_graph(seed)
    found = laid_out(*edges)
    layers: dict[int, list[float]] = {}
    for point in found.nodes.values():
        layers.setdefault(point.layer, []).append(point.x)
    for middles in layers.values():
        assert all(right - left >= SPACING - 1 for left, right in pairwise(sorted(middles)))
    places = set(found.nodes.values())
    for edge in edges:
        route = found.routes[edge]
        if edge[0] == edge[1]:
            continue
        assert (route[0], route[-1]) == (found.nodes[edge[0]], found.nodes[edge[1]])
        assert all(abs(here.layer - there.layer) == 1 for here, there in pairwise(route))
        assert not places & set(route[1:-1])


def test_each_process_draws_the_same_picture() -> None:
    """The counts that one process sends lie over the picture that another one drew."""
    code = (
        "from caravan.console.layout import lay_out\n"
        "edges = tuple((f'a{i}', f'{b}{i}') for i in range(5) for b in 'bcd')\n"
        "print(lay_out(tuple(dict.fromkeys(n for e in edges for n in e)), edges, 100.0))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in "12"
    }
    assert len(told) == 1
