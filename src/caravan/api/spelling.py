"""Names that callers choose from: parameters and values behind the question mark of a URL, members of a body.

A misspelt one is refused: a call that ignored it would answer another question, or do another thing, than was asked.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from fastapi import Request
from pydantic import BaseModel

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


def check_members(content: Mapping[str, object], model: type[BaseModel], *, closed: bool = False) -> None:
    """Raise `InvalidInput` for a member of a body that is a known one misspelt: by case, or by one letter. With
    `closed` for any unknown one. Others that this version does not know are ignored, as the wire protocol asks."""
    good = [field.alias or name for name, field in model.model_fields.items()]
    for name in content:
        if name in good:
            continue
        meant = next((each for each in good if _is_slip(name, each)), None)
        if meant is not None:
            raise InvalidInput(f"There is no member {name!r}; did you mean {meant}? There are {', '.join(good)}.")
        if closed:
            raise InvalidInput(f"There is no member {name!r}; {nearest(name, good)}.")


def _is_slip(name: str, good: str) -> bool:
    """Whether `name` is `good` in another case, or with one letter more, less, or exchanged, or with two swapped."""
    a, b = name.casefold(), good.casefold()
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


async def known_queries(request: Request) -> None:
    """Raise `InvalidInput` for a parameter that the call does not know. A dependency of every resource."""
    good = sorted({each.alias for each in request.scope["route"].dependant.query_params})
    for name in request.query_params:
        if name not in good:
            told = nearest(name, good) if good else "this call takes none"
            raise InvalidInput(f"There is no parameter {name!r} here; {told}.")
