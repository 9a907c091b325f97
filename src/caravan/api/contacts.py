"""Contacts: what happened to one of them in all batches, and why."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import ContactAnswer
from caravan.queries.contact import Contact, Entry, Stay, contact_history
from caravan.steps.sort import END
from caravan.steps.why import Looked, Tried, Why

router = APIRouter(tags=["contacts"])


@router.get("/contacts/{contactid:path}", response_model=ContactAnswer)
async def show_contact(
    contactid: str,
    customer: ACustomer,
    engine: AnEngine,
    limit: Annotated[int, Query(ge=1, le=1_000, description="The newest so many batches are looked through.")] = 200,
) -> JSONResponse:
    """What happened to one contact in each batch, in order of time, and why it went where it did."""
    return JSONResponse(_answer(await contact_history(engine, customer, contactid, limit)))


def _answer(found: Contact) -> dict[str, Any]:
    looked = {"batches": found.batches, "of": found.of}
    return {"id": found.id, "entries": list(map(_entry, found.entries)), "looked": looked}


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "batch": entry.batch.id,
        "journey": entry.batch.journey_id,
        "version": entry.batch.version,
        "line": entry.line,
        "properties": None if entry.properties is None else json.loads(entry.properties),
        "stays": list(map(_stay, entry.stays)),
    }


def _stay(stay: Stay) -> dict[str, Any]:
    why = None if stay.why is None else _why(stay.why, stay.detail)
    return {
        "step": stay.step,
        "at": stay.at.isoformat(),
        "outcome": stay.outcome,
        "detail": stay.detail,
        "why": why,
    }


def _why(why: Why, went: str | None) -> dict[str, Any]:
    return {
        "decided": why.decided,
        "to": why.to,
        "agrees": (why.to or END) == went,
        "conditions": list(map(_tried, why.conditions)),
        "arms": [{"weight": float(weight), "to": to} for weight, to in why.arms],
        "share": why.share,
    }


def _tried(tried: Tried) -> dict[str, Any]:
    return {"if": tried.condition, "to": tried.to, "true": tried.true, "values": list(map(_looked, tried.looked))}


def _looked(looked: Looked) -> dict[str, Any]:
    return {
        "property": ".".join(looked.path) or "id",
        "value": looked.text,
        "as": looked.kind,
        "read": looked.read,
    }
