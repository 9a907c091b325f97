"""A journey as a picture (SVG): its steps in layers from above, the ways between them, and who stands where.

The picture of a version never changes. What does, the counts, lies over it as a picture of its own, so that a page is
kept live by a few kilobytes, and the reader's place in a large graph stays what it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup

from caravan.console.graph_plan import Box, Line, Plan, Way, plan
from caravan.console.rendering import macro
from caravan.journeys.model import Journey, Step
from caravan.queries.flow import flow
from caravan.store.ledger import Ledger

_WIDEST = 1250  # pixels up to which a picture shrinks to its frame, where its words can still be read


@dataclass(frozen=True, slots=True)
class Node:
    """A step as it is told: its words in full, and its ways as (caption, step id)."""

    id: str
    kind: str
    group: str  # what it has in common with others, for its colour
    summary: str
    ways: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Live numbers: for each step who arrived and who stands there, and for each way, by step and index, who went it,
    where that is known."""

    steps: tuple[tuple[str, int, int], ...] = ()
    ways: tuple[tuple[str, int, int], ...] = ()

    def at(self, step: str) -> tuple[int, int]:
        """(arrived, standing)."""
        return next(((arrived, standing) for id, arrived, standing in self.steps if id == step), (0, 0))

    def along(self, step: str, index: int) -> int | None:
        """Who went this way; None where that is not known."""
        return next((went for id, at, went in self.ways if (id, at) == (step, index)), None)


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template draws: each step with its box, and each way with its line."""

    name: str  # of the journey
    nodes: list[tuple[Node, Box]]
    lines: list[tuple[str, Line]]  # (caption in full, …)
    plan: Plan

    @property
    def shrinks(self) -> bool:
        """Whether it may be shown smaller than it is."""
        return self.plan.width <= _WIDEST


def draw(journey: Journey, counts: Counts | None = None, name: str = "graph") -> Markup:
    """The journey as a picture in a frame of its own, and as a list. `name` begins the ids of its elements: two graphs
    on a page need two. The page links `static/graph.css`."""
    nodes = _nodes(journey)
    picture = _picture(journey.name, nodes, counts)
    parts = _fragments(nodes, counts, name)
    return Markup(macro("graph.html", "graph", picture, name, *map(Markup, parts)))


def fragments(journey: Journey, counts: Counts, name: str = "graph") -> dict[str, str]:
    """What changes with the counts of a graph that was drawn with some: {id of an element: HTML}."""
    numbers, listed = _fragments(_nodes(journey), counts, name)
    return {f"{name}-counts": numbers, f"{name}-list": listed}


def counts_of(journey: Journey, ledger: Ledger) -> Counts:
    """The numbers of a batch's ledger."""
    steps = tuple((each.step, each.arrived, each.standing) for each in ledger.steps)
    ways = tuple((step, index, went) for (step, index), went in sorted(flow(journey, ledger).items()))
    return Counts(steps, ways)


def _nodes(journey: Journey) -> tuple[Node, ...]:
    return tuple(_node(step) for step in journey.steps)


def _node(step: Step) -> Node:
    ways = tuple((caption, target) for caption, (_, target) in zip(step.captions(), step.targets(), strict=True))
    return Node(step.id, step.kind, _group(step), " ".join(step.summary.split()), ways)


def _group(step: Step) -> str:
    if getattr(step, "sends", False):
        return "sends"
    if step.waits:
        return "waits"
    return "sorts" if len(step.targets()) > 1 else "other"


@lru_cache(maxsize=64)
def _fragments(nodes: tuple[Node, ...], counts: Counts | None, name: str) -> tuple[str, str]:
    """The numbers and the list, for as long as nothing moves, and for all who look at the same moment."""
    listed = macro("graph.html", "listed", nodes, counts, name)
    if counts is None:
        return "", listed
    picture = _picture("", nodes, counts)
    return macro("graph.html", "numbers", picture, name, Markup("").join(_numbers(picture, counts))), listed


def _picture(name: str, nodes: tuple[Node, ...], counts: Counts | None) -> Picture:
    ways = [(caption, Way(node.id, target, caption)) for node in nodes for caption, target in node.ways]
    made = plan(tuple(node.id for node in nodes), tuple(way for _, way in ways), counts is not None)
    boxes = [(node, made.boxes[node.id]) for node in nodes]
    lines = [(caption, line) for (caption, _), line in zip(ways, made.lines, strict=True)]
    return Picture(name, boxes, lines, made)


def _numbers(picture: Picture, counts: Counts) -> Iterator[Markup]:
    """The numbers at steps and ways as SVG, without a template: they come twice a second."""
    steps = {id: (arrived, standing) for id, arrived, standing in counts.steps}
    went = {(id, index): contacts for id, index, contacts in counts.ways}
    ways = [(node.id, index) for node, _ in picture.nodes for index, _ in enumerate(node.ways)]
    for node, box in picture.nodes:
        yield _at_step(box, *steps.get(node.id, (0, 0)))
    for way, (_, line) in zip(ways, picture.lines, strict=True):
        if way in went:
            yield _at_way(line, went[way])


def _at_step(box: Box, arrived: int, standing: int) -> Markup:
    right = box.x + box.width - 12
    found = f'<text x="{right:g}" y="{box.y + 19:g}" class="arrived">{arrived:,} arrived</text>'
    if standing:
        share = max(4.0, (box.width - 28) * standing / max(arrived, 1))
        found += f'<text x="{box.x + 14:g}" y="{box.bottom - 14:g}" class="standing">{standing:,} here now</text>'
        found += f'<rect x="{box.x + 14:g}" y="{box.bottom - 9:g}" width="{share:.1f}" height="4" rx="2"/>'
    return Markup(found)


def _at_way(line: Line, went: int) -> Markup:
    return Markup(f'<text x="{line.x:g}" y="{line.y:g}" class="went">{went:,}</text>')
