"""Attachments are fetched when their journey is published: its version then names what was found by its SHA-256."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from caravan.channels.attachments import Attachment, stored_name
from caravan.channels.email_step import Email
from caravan.engine.engine import Engine
from caravan.errors import FileFailed, FileFailure, InvalidDefinition, Problem
from caravan.intake.download import download
from caravan.journeys import document
from caravan.journeys.document import read_document
from caravan.journeys.model import Journey, Step
from caravan.journeys.step_node import Path as Place
from caravan.journeys.step_node import StepNode

_PATIENCE = 10.0  # seconds for each silence of a server: somebody waits for the answer
_ATTEMPTS = 2


class _Refused(Exception):
    """An attachment can't be used, for the reason that the text gives."""


async def with_attachments(engine: Engine, customer: int, source: str, journey: Journey) -> Journey:
    """The journey with all its attachments in the customer's part of the store. Raises `InvalidDefinition` with a
    sentence for each that can't be had, at its line in `source`."""
    if not any(isinstance(step, Email) and step.attachments for step in journey.steps):
        return journey
    problems: list[Problem] = []
    steps = list[Step]()
    with TemporaryDirectory(dir=_scratch(engine)) as folder:
        for index, step in enumerate(journey.steps):
            if isinstance(step, Email) and step.attachments:
                found = await _of_step(engine, customer, step, Path(folder))
                problems += [_problem(source, index, place, why) for place, why in found if isinstance(why, str)]
                kept = [each for _, each in found if isinstance(each, Attachment)]
                steps.append(step.model_copy(update={"attachments": kept}))
            else:
                steps.append(step)
    if problems:
        raise InvalidDefinition(sorted(problems))
    return replace(journey, steps=tuple(steps))


async def _of_step(engine: Engine, customer: int, step: Email, folder: Path) -> list[tuple[Place, Attachment | str]]:
    """Each of a step's attachments as it was fetched, or why it can't be, with its place in the step."""
    most, left = engine.settings.max_attachments, engine.settings.max_attachment_bytes
    if len(step.attachments) > most:
        return [((), f"a mail has at most {most} attachments (CARAVAN_MAX_ATTACHMENTS)")]
    found: list[tuple[Place, Attachment | str]] = []
    for index, each in enumerate(step.attachments):
        try:
            fetched, size = await _fetched(engine, customer, each, folder, left)
        except _Refused as why:
            found.append(((index, "url"), str(why)))
        else:
            left -= size
            found.append(((index,), fetched))
    return found


async def _fetched(
    engine: Engine, customer: int, attachment: Attachment, folder: Path, left: int
) -> tuple[Attachment, int]:
    """The attachment with its SHA-256, and its bytes. One that names it is not fetched again if it is there."""
    if attachment.sha256 is not None:
        size = await asyncio.to_thread(_size, engine, stored_name(customer, attachment.sha256))
        if size is not None and size <= left:
            return attachment, size
    target = folder / "attachment"
    settings = engine.settings
    try:
        got = await download(
            attachment.url,
            target,
            allow_private=settings.download_allow_private,
            max_bytes=max(left, 1),
            timeout=min(_PATIENCE, settings.download_timeout),
            retry_delay=min(1.0, settings.download_retry_delay),
            attempts=_ATTEMPTS,
        )
    except FileFailed as error:
        if error.code is FileFailure.TOO_LARGE:
            most = f"{settings.max_attachment_bytes:,} bytes (CARAVAN_MAX_ATTACHMENT_BYTES)"
            raise _Refused(f"the attachments of a mail have {most} together at most, and this is too much") from None
        raise _Refused(f"the attachment can't be fetched: {error.message}".rstrip(".")) from None
    if got.content_encoding is not None:
        raise _Refused(
            "the attachment can't be fetched: its server answers with a Content-Encoding that nobody asked for"
        )
    if attachment.sha256 not in (None, got.sha256):
        raise _Refused("the file has changed since its sha256 was noted; leave sha256 out to take the new one")
    await asyncio.to_thread(engine.files.put, target, stored_name(customer, got.sha256))
    return attachment.model_copy(update={"sha256": got.sha256}), got.bytes


def _size(engine: Engine, name: str) -> int | None:
    """The bytes of a file in the store; None if it is not there. Blocks."""
    try:
        with engine.files.local(name) as path:
            return path.stat().st_size
    except FileNotFoundError:
        return None


def _scratch(engine: Engine) -> Path:
    engine.scratch.mkdir(parents=True, exist_ok=True)
    return engine.scratch


def _problem(source: str, step: int, below: Sequence[str | int], why: str) -> Problem:
    root = read_document(source).root
    assert isinstance(root, document.Mapping)
    steps = root.entries["steps"]
    assert isinstance(steps, document.Sequence)
    node, place = StepNode(steps.items[step], step), ("email", "attachments", *below)
    return Problem(node.line_of(place), node.place(place), why)
