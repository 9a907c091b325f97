"""Merging what a step has learnt of contacts into their properties, for the steps that follow.

A cohort's file never changes: those who go on get a file of their own, with the new properties in it.
"""

import json

import pyarrow as pa

from caravan.steps.properties import merged


def with_saved(contacts: pa.Table, outcomes: pa.Table) -> pa.Table:
    """The contacts with what was saved of each; the very same table if nothing was."""
    saved = outcomes["saved"]
    if saved.null_count == len(saved):
        return contacts
    properties = [
        text if new is None else merged(text, json.loads(new))
        for text, new in zip(contacts["properties"].to_pylist(), saved.to_pylist(), strict=True)
    ]
    place = contacts.schema.get_field_index("properties")
    return contacts.set_column(place, contacts.schema.field(place), pa.array(properties, pa.string()))
