"""The edges between steps: targets that are missing, steps that no contact reaches, cycles without a wait."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from caravan.journeys.model import Step

MAX_HINTS = 20  # for the first targets that are missing; looking for what was meant takes a while


def check_edges(steps: Sequence[Step]) -> Iterator[tuple[int, str, str]]:
    """What is wrong with the edges between steps: (index of the step, where in it, message)."""
    yield from _missing(steps)
    yield from _unreachable(steps)
    yield from _cycles(steps)


def at_once(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps of a checked journey that contacts come to in the moment in which they enter: with no wait before."""
    by_id = {step.id: step for step in steps}
    seen, ahead = set[str](), [steps[0].id]
    while ahead:
        step = by_id[ahead.pop()]
        if step.id not in seen and not step.takes_time:
            seen.add(step.id)
            yield step
            ahead += [target for _, target in step.targets()]


def _missing(steps: Sequence[Step]) -> Iterator[tuple[int, str, str]]:
    ids = {step.id: None for step in steps}
    hints = MAX_HINTS
    for index, step in enumerate(steps):
        for where, target in step.targets():
            if target not in ids:
                close = get_close_matches(target, ids, 1) if hints > 0 else []
                hints -= 1
                hint = f"; did you mean '{close[0]}'?" if close else ""
                yield index, where, f"there is no step '{target}'{hint}"


def _unreachable(steps: Sequence[Step]) -> Iterator[tuple[int, str, str]]:
    ways: dict[str, list[str]] = {}
    for step in steps:  # two that share an id are a problem of their own
        ways.setdefault(step.id, []).extend(target for _, target in step.targets())
    reached: set[str] = set()
    ahead = [steps[0].id] if steps else []
    while ahead:
        id = ahead.pop()
        if id in ways and id not in reached:
            reached.add(id)
            ahead += ways[id]
    for index, step in enumerate(steps):
        if step.id and step.id not in reached:
            yield index, "", "no contact ever reaches this step"


def _cycles(steps: Sequence[Step]) -> Iterator[tuple[int, str, str]]:
    """One problem for each cycle, until no more are left."""
    without_wait = {step.id: index for index, step in enumerate(steps) if not step.takes_time}
    while without_wait:
        ways = {
            id: [target for _, target in steps[index].targets() if target in without_wait]
            for id, index in without_wait.items()
        }
        try:
            TopologicalSorter(ways).prepare()
        except CycleError as error:
            cycle = error.args[1][::-1]
            yield without_wait[cycle[0]], "", f"this circle has no wait in it: {' → '.join(cycle)}"
            for id in cycle[1:]:
                del without_wait[id]
        else:
            return
