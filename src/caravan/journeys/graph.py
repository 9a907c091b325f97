"""The ways between steps: targets that are missing, steps that nobody reaches, circles that never rest."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from caravan.journeys.model import Step


def check_ways(steps: Sequence[Step]) -> Iterator[tuple[Step, str, str]]:
    """What is wrong with the ways between steps: (step, where in it, message). The first step is the entry."""
    ids = [step.id for step in steps]
    known = set(ids)
    for step in steps:
        for where, target in step.targets():
            if target not in known:
                yield step, where, f"there is no step '{target}'{_hint(target, ids)}"
    yield from _unreachable(steps)
    yield from _circles(steps)


def _hint(target: str, ids: list[str]) -> str:
    close = get_close_matches(target, ids, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _unreachable(steps: Sequence[Step]) -> Iterator[tuple[Step, str, str]]:
    by_id = {step.id: step for step in steps}
    reached: set[str] = set()
    ahead = [steps[0].id] if steps else []
    while ahead:
        id = ahead.pop()
        if id in by_id and id not in reached:
            reached.add(id)
            ahead += [target for _, target in by_id[id].targets()]
    for step in steps:
        if step.id not in reached:
            yield step, "", "no contact ever reaches this step"


def _circles(steps: Sequence[Step]) -> Iterator[tuple[Step, str, str]]:
    """One problem for each circle, until no more are left."""
    restless = {step.id: step for step in steps if not step.takes_time}
    while restless:
        ways = {id: [target for _, target in step.targets()] for id, step in restless.items()}
        try:
            TopologicalSorter(
                {id: [each for each in there if each in ways] for id, there in ways.items()}
            ).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]
            yield (
                restless[circle[0]],
                "",
                f"this circle has no wait in it: {' → '.join(circle)}",
            )
            for id in circle[:-1]:
                del restless[id]
        else:
            return
