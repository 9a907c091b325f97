"""What can be an event."""

from datetime import UTC, datetime

import pytest

from caravan.events.event import Event

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_an_event_is_what_a_contact_did() -> None:
    event = Event("anna", "purchase", NOW, {"total": 12})
    assert (event.source, event.key, event.origin) == ("api", None, None)


@pytest.mark.parametrize("name", ["", "1st", "pur chase", "a" * 65, "käufe", "purchase\n", "<script>", "a\0", "a\r\nb"])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an event"):
        Event("anna", name, NOW)


@pytest.mark.parametrize("contact", ["", "a" * 257, "a\0b"])
def test_a_contact_has_an_id(contact: str) -> None:
    with pytest.raises(ValueError, match="256 characters"):
        Event(contact, "purchase", NOW)


@pytest.mark.parametrize("key", ["", "k" * 257, "k\0"])
def test_a_key_is_short(key: str) -> None:
    with pytest.raises(ValueError, match="256 characters"):
        Event("anna", "purchase", NOW, key=key)


def test_a_moment_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Event("anna", "purchase", datetime(2026, 11, 26))
