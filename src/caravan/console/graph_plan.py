"""Where the steps of a journey and the ways between them stand in a picture, in pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from caravan.console.layout import Layout, Point, lay_out

WIDTH, HEIGHT, COUNTED = 192, 68, 88  # of a step, the last one with counts
_CAPTION = 22  # the height of the words at a way
_BESIDE, _BELOW, _MARGIN = 20, 36, 36  # between two steps, between two layers, around all
_ASIDE = 56  # how far from the middle of a step ways begin and end that lead upwards
_ARROW = 3  # how much of its head lies before a way's end


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """From left to right."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Way:
    """A way to be drawn: between which steps, and with which words; empty where everyone takes it."""

    start: str
    end: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A way in the picture. Its words stand in `label`; its count begins at `x` and `y`."""

    path: str
    back: bool  # it leads upwards, to an earlier step
    label: Box | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole picture: boxes by step id, and a line for each way, in their order."""

    boxes: dict[str, Box]
    lines: list[Line]
    width: float
    height: float


@lru_cache(maxsize=256)
def plan(steps: tuple[str, ...], ways: tuple[Way, ...], counted: bool) -> Plan:
    """The picture of these steps, the first one above all others; `counted` leaves room for numbers. The words at a way
    have a place of their own among the steps, so that nothing is written across anything else."""
    captions = [f"#{index}" if way.caption and way.start != way.end else None for index, way in enumerate(ways)]
    edges = []
    for way, caption in zip(ways, captions, strict=True):
        edges += [(way.start, caption), (caption, way.end)] if caption else [(way.start, way.end)]
    nodes = (*steps, *filter(None, captions))
    layout = lay_out(nodes, tuple(dict.fromkeys(edges)), WIDTH + _BESIDE)
    rows = list(_rows(layout, counted))
    boxes = {node: _box(node, point, rows, counted) for node, point in layout.nodes.items()}
    passed = {point: boxes[node] for node, point in layout.nodes.items() if node.startswith("#")}
    drawn = [
        _line(
            boxes[way.start],
            boxes[way.end],
            boxes.get(caption or ""),
            _spots(_route(way, caption, layout), passed, rows),
        )
        for way, caption in zip(ways, captions, strict=True)
    ]
    bends = [_MARGIN + point.x + WIDTH / 2 for route in layout.routes.values() for point in route]
    right = max(*(box.x + box.width for box in boxes.values()), *bends, 0.0)
    return Plan({step: boxes[step] for step in steps}, drawn, right + _MARGIN, rows[-1].bottom + _MARGIN / 2)


def _height(node: str, counted: bool) -> int:
    if node.startswith("#"):
        return _CAPTION
    return COUNTED if counted else HEIGHT


def _rows(layout: Layout, counted: bool) -> Iterator[Box]:
    """The layers, each as high as the highest in it."""
    heights = [0] * layout.layers
    for node, point in layout.nodes.items():
        heights[point.layer] = max(heights[point.layer], _height(node, counted))
    y = _MARGIN / 2
    for height in heights:
        yield Box(0, y, 0, height)
        y += height + _BELOW


def _box(node: str, point: Point, rows: list[Box], counted: bool) -> Box:
    height, row = _height(node, counted), rows[point.layer]
    return Box(_MARGIN + point.x, row.y + (row.height - height) / 2, WIDTH, height)


def _route(way: Way, caption: str | None, layout: Layout) -> list[Point]:
    """What a way passes between its ends."""
    if caption is None:
        return layout.routes[way.start, way.end][1:-1]
    return layout.routes[way.start, caption][1:] + layout.routes[caption, way.end][1:-1]


def _spots(route: list[Point], captions: dict[Point, Box], rows: list[Box]) -> list[Box]:
    """Its own words, and the gaps between two steps of a layer."""
    return [captions.get(each) or _gap(each, rows[each.layer]) for each in route]


def _gap(point: Point, row: Box) -> Box:
    return Box(_MARGIN + point.x + WIDTH / 2, row.y, 0, row.height)


def _line(start: Box, end: Box, label: Box | None, spots: list[Box]) -> Line:
    if start is end:
        return Line(_loop(start), True, None, start.x + WIDTH + 8, start.y)
    back, top = start.y > end.y, label or start
    x, y = (start.middle + _ASIDE + 6, start.y - 8) if back and not label else (top.middle + 8, top.bottom + 15)
    return Line(_path([start, *spots, end]), back, label, x, y)


def _path(spots: list[Box]) -> str:
    """Down, or up, through all spots: straight past each, in a curve from each to the next."""
    pieces = []
    last = len(spots) - 1
    for index, (here, there) in enumerate(pairwise(spots)):
        up = there.y < here.y
        x0 = here.middle + (_ASIDE if up and index == 0 else 0)
        x1 = there.middle + (_ASIDE if up and index + 1 == last else 0)
        y0, y1 = (here.y, there.bottom) if up else (here.bottom, there.y)
        if index + 1 == last:
            y1 += _ARROW if up else -_ARROW
        middle = (y0 + y1) / 2
        pieces.append(f"{'L' if index else 'M'}{x0:.1f} {y0:.1f}")
        pieces.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return "".join(pieces)


def _loop(box: Box) -> str:
    """From the right side of a step back to it."""
    x, y = box.x + box.width, box.y + box.height / 2
    return f"M{x:.1f} {y - 12:.1f}C{x + 26:.1f} {y - 22:.1f} {x + 26:.1f} {y + 22:.1f} {x + _ARROW:.1f} {y + 12:.1f}"
