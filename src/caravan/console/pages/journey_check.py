"""What the editor asks while one types: the parts of its page that follow the text, as finished HTML."""

from starlette.responses import Response

from caravan.console import editing
from caravan.console.page import Page
from caravan.console.rendering import macro
from caravan.console.visit import Visit, see_other


async def show(visit: Visit) -> Response:
    """There is nothing to see by itself."""
    return see_other(f"{editing.path_of(visit)}/edit")


async def submit(visit: Visit) -> Response:
    """Line numbers with their marks, problems, and the graph: elements that take the place of those of the same id."""
    text = editing.posted(visit, await visit.form(editing.LARGEST_FORM))
    found = await editing.look(visit.engine, text)
    parts = [macro("journey_parts.html", "lines", found), macro("journey_parts.html", "problems", found)]
    parts.append(macro("journey_parts.html", "picture", found, await editing.drawn(found)))
    return Response("\n".join(parts), media_type="text/html")


PAGE = Page("/{customer:int}/journeys/{journey:int}/check", show, submit)
