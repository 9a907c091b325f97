"""Where the nodes of a directed graph stand in a picture: in layers from above, with few crossings (Sugiyama's method,
by fast-sugiyama). The only place that uses that library."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from fast_sugiyama import from_edges

logging.getLogger("rust-sugiyama").setLevel(logging.WARNING)  # it tells each step that it takes
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the picture: a middle from left to right, and a layer, 0 being the uppermost."""

    x: float
    layer: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture. A route leads from the first node of an edge to the second, past all nodes between them; the route of
    an edge from a node to itself is empty."""

    nodes: dict[str, Point]
    routes: dict[Edge, list[Point]]
    layers: int


@lru_cache(maxsize=256)
def lay_out(nodes: tuple[str, ...], edges: tuple[Edge, ...], spacing: float) -> Layout:
    """Lay out the nodes, the first one above all others, with their middles at least `spacing` apart in a layer. Kept
    for each graph: 60 nodes take some milliseconds, 1,000 some tens."""
    backward = _backward(nodes, edges)
    # The library aborts the process on an edge from a node to itself; and one that leads back is laid out reversed.
    downward = dict.fromkeys(_flipped(each) if each in backward else each for each in edges if each[0] != each[1])
    if not downward:
        places = {node: Point(index * spacing, 0) for index, node in enumerate(nodes)}
        return Layout(places, {each: [] for each in edges}, 1 if nodes else 0)
    places, chains = _in_reading_order(edges, *_placed(tuple(downward), spacing))
    right = max(point.x for point in places.values())
    for index, node in enumerate(each for each in nodes if each not in places):  # those without an edge
        places[node] = Point(right + (index + 1) * spacing, 0)
    routes: dict[Edge, list[Point]] = {}
    for edge in edges:
        chain = chains.get(_flipped(edge) if edge in backward else edge, [])
        routes[edge] = chain[::-1] if edge in backward else chain
    layers = 1 + max(point.layer for point in places.values())
    return Layout({node: places[node] for node in nodes}, routes, layers)


def _in_reading_order(
    edges: Iterable[Edge], places: dict[str, Point], routes: dict[Edge, list[Point]]
) -> tuple[dict[str, Point], dict[Edge, list[Point]]]:
    """The same picture, or its mirror image, if more of what is written first stands on the left there."""
    ways: dict[str, list[float]] = defaultdict(list)
    for start, end in edges:
        ways[start].append(places[end].x)
    if sum(found[-1] - found[0] for found in ways.values()) >= 0:
        return places, routes
    right = max(point.x for point in (*places.values(), *(point for route in routes.values() for point in route)))

    def mirrored(point: Point) -> Point:
        return Point(right - point.x, point.layer)

    turned = {edge: [mirrored(point) for point in route] for edge, route in routes.items()}
    return {node: mirrored(point) for node, point in places.items()}, turned


def _flipped(edge: Edge) -> Edge:
    return edge[1], edge[0]


def _backward(nodes: Iterable[str], edges: Iterable[Edge]) -> set[Edge]:
    """The edges that close a circle when one walks from the first node on, each way to its end."""
    ways: dict[str, list[str]] = defaultdict(list)
    for start, end in edges:
        if start != end:
            ways[start].append(end)
    found: set[Edge] = set()
    done: set[str] = set()
    for root in nodes:
        walk = [] if root in done else [(root, iter(ways[root]))]
        under_way = {root}
        while walk:
            node, ahead = walk[-1]
            following = next(ahead, None)
            if following is None:
                walk.pop()
                under_way.discard(node)
                done.add(node)
            elif following in under_way:
                found.add((node, following))
            elif following not in done:
                under_way.add(following)
                walk.append((following, iter(ways[following])))
    return found


def _placed(edges: tuple[Edge, ...], spacing: float) -> tuple[dict[str, Point], dict[Edge, list[Point]]]:
    """Nodes and routes of edges that all lead downwards. Parts that no edge joins stand side by side."""
    names = list(dict.fromkeys(node for edge in edges for node in edge))
    # As numbers, which have the same order in each process: names would give each a picture of its own.
    numbers = {name: number for number, name in enumerate(names)}
    pairs = [(numbers[start], numbers[end]) for start, end in edges]
    points: dict[int | str, Point] = {}
    pieces: dict[int | str, list[int | str]] = defaultdict(list)
    left = 0.0
    for positions, _, _, drawn in from_edges(pairs, vertex_spacing=spacing, ranking_type="up", check_layout=False):
        start = min(x for _, (x, _) in positions)
        rows = {y: index for index, y in enumerate(sorted({y for _, (_, y) in positions}, reverse=True))}
        points.update({number: Point(x - start + left, rows[y]) for number, (x, y) in positions})
        left += max(x for _, (x, _) in positions) - start + spacing
        for first, second in drawn or ():
            pieces[first].append(second)
    routes = {(names[start], names[end]): _route(start, end, len(names), points, pieces) for start, end in pairs}
    return {name: points[number] for name, number in numbers.items()}, routes


def _route(
    start: int, end: int, nodes: int, points: dict[int | str, Point], pieces: dict[int | str, list[int | str]]
) -> list[Point]:
    """Both ends of an edge with its bends between them, whose numbers come after those of the `nodes`."""
    for following in pieces[start]:
        chain = [start, following]
        while isinstance(chain[-1], int) and chain[-1] >= nodes:
            chain += pieces[chain[-1]]
        if chain[-1] == end:
            return [points[each] for each in chain]
    return [points[start], points[end]]
