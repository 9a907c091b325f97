"""/openapi.json and /docs: what all calls have in common is said here once, and the page needs nothing from the net."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from caravan.api.answers import Problem, ProblemLine
from caravan.api.problems import PROBLEM

router = APIRouter()
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body give the same answer for 24 hours; another body is 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+( *[!-~]+)*$"},
}
_ERROR = {"description": "A problem", "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{margin-top:2.5rem;font:600 1.05rem ui-monospace,monospace}code{background:#8881;padding:0 .2em}"
    "table{border-collapse:collapse;margin:.5rem 0}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"
)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the app: each call with its token, its Idempotency-Key and its errors."""
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
        schemas.pop(name, None)
    for model in (Problem, ProblemLine):
        schemas[model.__name__] = _schema(model)
    for path, _, method, call in _calls(found):
        call["responses"].pop("422", None)
        call["responses"]["default"] = _ERROR
        if method == "post" and path.startswith("/{customerid}/"):
            call.setdefault("parameters", []).append(_KEY)
    return found


def _schema(model: type[Problem] | type[ProblemLine]) -> dict[str, Any]:
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.pop("$defs", None)
    return found


def _calls(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, call in methods.items():
            yield path, methods, method, call


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """All calls on one page."""
    found = request.app.openapi()
    calls = "".join(_call(path, method, call, found) for path, _, method, call in _calls(found))
    title = f"{escape(found['info']['title'])} {escape(found['info']['version'])}: all calls"
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>Tokens: <code>Authorization: Bearer T</code> or "
        "<code>X-Carma-Authentication-Token: T</code>. Errors are <code>application/problem+json</code>. "
        f'For programs: <a href="/openapi.json">openapi.json</a>.</p>{calls}</html>'
    )


def _call(path: str, method: str, call: dict[str, Any], found: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}<td>{escape(each.get('description', ''))}"
        for each in call.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td><code>{status}</code><td>{escape(answer['description'])}<td>{_members(answer, found)}"
        for status, answer in call["responses"].items()
        if status != "default"
    )
    body = _members(call["requestBody"], found) if "requestBody" in call else ""
    return (
        f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(call.get('description', ''))}</p>"
        f"<table>{parameters}</table>{f'<p>Body: {body}</p>' if body else ''}<table>{answers}</table>"
    )


def _members(content: dict[str, Any], found: dict[str, Any]) -> str:
    """The kinds of content, each with the members of its object."""
    return "; ".join(
        f"{escape(media)} {_of(each.get('schema', {}), found)}" for media, each in content.get("content", {}).items()
    )


def _of(schema: dict[str, Any], found: dict[str, Any]) -> str:
    if "items" in schema:
        return f"a list of {_of(schema['items'], found)}"
    name = schema.get("$ref", "").rpartition("/")[2]
    resolved = found["components"]["schemas"].get(name, schema)
    members = ", ".join(f"<code>{escape(each)}</code>" for each in resolved.get("properties", {}))
    return f"{{{members}}}" if members else escape(resolved.get("description", ""))
