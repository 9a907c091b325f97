"""In which form a caller wants a long list."""

from typing import Annotated

from fastapi import Query, Request

from caravan.api.accept import prefers_csv
from caravan.lists import Form

AFormat = Annotated[Form | None, Query(description="How it is written; without it as `Accept` says, else NDJSON.")]


def form_of(request: Request, asked: Form | None) -> Form:
    """How a list is to be written: as was asked for behind the question mark, else by the header `Accept`."""
    if asked is not None:
        return asked
    return Form.CSV if prefers_csv(request.headers.get("accept", "")) else Form.NDJSON
