"""What stands behind the question mark of a URL. A misspelt name or value is refused: a call that ignored it would
answer another question than the one that was asked."""

from collections.abc import Iterable
from difflib import get_close_matches

from fastapi import Request

from caravan.errors import InvalidInput


def among(name: str, value: str | None, known: Iterable[str]) -> None:
    """Raise `InvalidInput`, which names the good ones, if a value is given and is none of them."""
    good = [str(each) for each in known]
    if value is not None and value not in good:
        raise InvalidInput(f"There is no {name} {value!r} here; {nearest(value, good)}.")


def nearest(value: str, good: list[str]) -> str:
    """What was meant, in words."""
    near = get_close_matches(value, good, 1)
    return (f"did you mean {near[0]}? " if near else "") + f"There are {', '.join(good)}"


async def known_queries(request: Request) -> None:
    """Raise `InvalidInput` for a parameter that the call does not know. A dependency of every resource."""
    good = sorted({each.alias for each in request.scope["route"].dependant.query_params})
    for name in request.query_params:
        if name not in good:
            told = nearest(name, good) if good else "this call takes none"
            raise InvalidInput(f"There is no parameter {name!r} here; {told}.")
