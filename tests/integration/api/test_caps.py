"""Caps over the API: set, told, ended, refused with a sentence, and in the audit log."""

import pytest

from tests.integration.conftest import System


async def test_a_cap_is_set_told_and_ended_and_audited(idle_system: System) -> None:
    system, path = idle_system, idle_system.path("channels/email/cap")
    answer = await system.http.put(path, json={"most": 3, "period": "1 week"})
    found = {each["channel"]: each["cap"] for each in answer.json()}
    assert found["email"] == {"most": 3, "period": "7 days", "otherwise": "skip"}
    assert found["webhook"] is None
    assert (await system.get("channels")).json() == answer.json()
    changed = await system.http.put(path, json={"most": 1, "period": "36 hours", "otherwise": "wait"})
    assert changed.json()[0]["cap"] == {"most": 1, "period": "36 hours", "otherwise": "wait"}
    assert (await system.http.delete(path)).json()[0]["cap"] is None
    acts = [each for each in await system.lines("audit") if each["act"] == "cap"]
    assert [each["detail"] for each in acts] == [
        None,
        {"most": 1, "period": "36 hours", "otherwise": "wait"},
        {"most": 3, "period": "1 week", "otherwise": "skip"},
    ]


@pytest.mark.parametrize(
    ("channel", "body", "said"),
    [
        ("webhook", {"most": 3, "period": "7 days"}, "'webhook' has no recipients who could get too much"),
        ("fax", {"most": 3, "period": "7 days"}, "'fax' is no channel; there can be a cap on email"),
        ("email", {"most": 0, "period": "7 days"}, "A cap is from 1 to 100 messages; 0 is not."),
        ("email", {"most": 3, "period": "7 years"}, "'7 years' is no period"),
        ("email", {"most": "3", "period": "7 days"}, "most: "),
        ("email", {"period": "7 days"}, "most: "),
        ("email", {"most": 3, "period": "7 days", "othrwise": "wait"}, "othrwise"),
        ("email", {"most": 3, "period": "7 days", "otherwise": "later"}, "'skip' or 'wait'"),
        ("email", [], "not a JSON object"),
    ],
)
async def test_what_can_not_be_a_cap_is_refused_with_a_sentence(
    idle_system: System, channel: str, body: object, said: str
) -> None:
    answer = await idle_system.http.put(idle_system.path(f"channels/{channel}/cap"), json=body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]
