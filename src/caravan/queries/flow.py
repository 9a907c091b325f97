"""How many contacts went each way of a journey, as far as the ledger of a batch says so: it counts steps, not ways."""

from caravan.journeys.model import Journey
from caravan.store.ledger import FINAL, Ledger, StepCounts

Way = tuple[str, int]  # a step, and the index of one of its targets


def flow(journey: Journey, ledger: Ledger) -> dict[Way, int]:
    """The contacts that went each way that can be counted. Who leaves a step goes one of its ways, unless its
    journey ended there; who arrives at a step came one of the ways to it, or entered there. A way is known where it is
    the only one of such a sum that is not. Ways that could only be guessed are missing."""
    counts = {each.step: each for each in ledger.steps}
    sums = [*_left(journey, counts), *_came(journey, counts, ledger.entered)]
    known: dict[Way, int] = {}
    ahead = True
    while ahead:
        ahead = False
        for total, ways in sums:
            unknown = [way for way in ways if way not in known]
            if len(unknown) == 1:
                rest = total - sum(known[way] for way in ways if way in known)
                if rest < 0:  # these numbers are not of one moment, so nothing can be told from them
                    return {}
                known[unknown[0]] = rest
                ahead = True
    return {way: contacts for way, contacts in known.items() if way[1] >= 0}


def _left(journey: Journey, counts: dict[str, StepCounts]) -> list[tuple[int, list[Way]]]:
    found = []
    for step in journey.steps:
        ways: list[Way] = [(step.id, index) for index, _ in enumerate(step.targets())]
        if step.may_end:
            ways.append((step.id, -1))  # the end of the journey
        outcomes = counts[step.id].outcomes if step.id in counts else {}
        gone = sum(contacts for outcome, contacts in outcomes.items() if outcome not in FINAL)
        found.append((gone, ways))
    return found


def _came(journey: Journey, counts: dict[str, StepCounts], entered: int) -> list[tuple[int, list[Way]]]:
    ways: dict[str, list[Way]] = {step.id: [] for step in journey.steps}
    for step in journey.steps:
        for index, (_, target) in enumerate(step.targets()):
            ways[target].append((step.id, index))
    arrived = {id: counts[id].arrived if id in counts else 0 for id in ways}
    return [(arrived[id] - (entered if id == journey.entry.id else 0), found) for id, found in ways.items()]
