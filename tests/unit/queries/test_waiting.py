"""Who is at work, as the time that is left is reckoned."""

from datetime import UTC, datetime, timedelta

from caravan.queries.waiting import working

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def group(how: str, contacts: int, **later: float) -> dict[str, object]:
    return {"how": how, "contacts": contacts, "due_at": (NOW + timedelta(**later)).isoformat()}


def test_those_at_work_are_told_from_those_who_wait() -> None:
    at_work = [group("moving", 1), group("queued", 2), group("standing", 4, seconds=20)]
    others = [group("waiting", 8), group("stuck", 16), group("retrying", 32), group("standing", 64, hours=7)]
    assert working({"standing": [*others, *at_work]}, NOW) == 7
    assert working({"standing": None}, NOW) == 0
