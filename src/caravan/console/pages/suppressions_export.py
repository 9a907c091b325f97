"""All suppressions as a CSV file."""

from starlette.responses import Response, StreamingResponse

from caravan.console.page import Page
from caravan.console.visit import Visit
from caravan.engine.suppression_files import Format, export


async def show(visit: Visit) -> Response:
    """The file, streamed."""
    name = f"suppressions-{visit.customer}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    pieces = export(visit.engine.pool, visit.customer, Format.CSV)
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)


PAGE = Page("/{customer:int}/suppressions/export", show)
