"""What a relay says decides between failed, retried and unknown; the rules are in replies.yaml."""

import pytest

from caravan.channels.replies import Reply, Stage, again_in, classify, rules
from caravan.delivery.result import Result


@pytest.mark.parametrize(
    ("stage", "code", "text", "result"),
    [
        ("content", 250, "2.0.0 Ok: queued as 4F2", "sent"),
        ("content", 250, "", "sent"),
        ("rcpt", 550, "5.1.1 <x@y>: Recipient address rejected: User unknown", "failed"),
        ("rcpt", 550, "No such user here", "failed"),
        ("rcpt", 551, "5.1.6 moved", "failed"),
        ("rcpt", 552, "5.2.2 mailbox full", "failed"),
        ("rcpt", 553, "5.1.3 bad address syntax", "failed"),
        ("content", 552, "5.3.4 message too big", "failed"),
        ("content", 554, "5.7.1 message content rejected", "failed"),
        ("rcpt", 554, "5.7.1 <x@y>: Relay access denied", "failed"),
        ("rcpt", 450, "4.2.0 Greylisted", "retry"),
        ("rcpt", 451, "4.7.1 try again in 5 minutes", "retry"),
        ("rcpt", 452, "4.2.2 over quota", "retry"),
        ("mail", 452, "4.3.1 insufficient storage", "retry"),
        ("mail", 421, "4.7.0 too many connections", "retry"),
        ("content", 421, "4.3.2 shutting down", "retry"),
        ("content", 451, "4.3.0 queue file write error", "retry"),
        ("mail", 530, "5.7.0 Must issue a STARTTLS command first", "unreachable"),
        ("rcpt", 530, "5.7.1 Authentication required", "unreachable"),
        ("mail", 550, "5.7.1 Sender is not allowed", "unreachable"),
        ("mail", 554, "5.7.8 Sender is blocked", "unreachable"),
        ("mail", 550, "5.1.8 bad sender", "failed"),
        ("connect", 554, "5.7.1 Go away", "unreachable"),
        ("connect", 421, "4.3.2 too busy", "unreachable"),
        ("connect", 535, "5.7.8 bad credentials", "unreachable"),
        ("rcpt", 550, "5.6.7 address beyond ASCII", "unsupported_address"),
        ("mail", 553, "5.6.7 address beyond ASCII", "unsupported_address"),
        ("rcpt", 354, "what?", "retry"),
        ("data", 250, "what?", "retry"),
        ("rcpt", 0, "no reply at all", "retry"),
        ("content", 0, "no reply at all", "unknown"),
        ("content", 354, "what?", "unknown"),
    ],
)
def test_a_reply_means_this(stage: str, code: int, text: str, result: str) -> None:
    assert classify(Stage(stage), Reply(code, text)).result is Result(result)


@pytest.mark.parametrize("stage", Stage)
def test_every_code_means_something_at_every_stage(stage: Stage) -> None:
    for code in range(1000):
        assert classify(stage, Reply(code, "5.5.5 x")).result in Result


@pytest.mark.parametrize("stage", [each for each in Stage if each is not Stage.CONTENT])
def test_nothing_before_the_content_can_mean_that_it_was_delivered(stage: Stage) -> None:
    results = {classify(stage, Reply(code, "")).result for code in range(1000)}
    assert results.isdisjoint({Result.SENT, Result.UNKNOWN})


def test_an_enhanced_code_counts_only_at_the_start_and_whole() -> None:
    assert Reply(550, "5.1.1 no").enhanced == "5.1.1"
    assert Reply(550, "5.1.1").enhanced == "5.1.1"
    assert Reply(550, "see 5.1.1").enhanced == ""
    assert Reply(550, "5.1.1.1 is my address").enhanced == ""


def test_the_detail_is_the_reply_without_control_characters_and_not_long() -> None:
    detail = classify(Stage.RCPT, Reply(550, "5.1.1 a\r\nb\x1b[31m\u2028c" + "x" * 1000)).detail
    assert detail.startswith("550 5.1.1 a b [31m c")
    assert len(detail) == 300


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, try again in 5 minutes", 300),
        ("Greylisted for 300 seconds (see http://x.example/help)", 300),
        ("please retry after 90 secs", 90),
        ("try again in 1 hour", 3600),
        ("Greylisted, come back in 00:04:59", 299),
        ("retry in 30s", 30),
        ("try again in 10 min", 600),
        ("try again in 0 seconds", None),
        ("retry in 00:00:00", None),
        ("try again in 900000 hours", 86_400),
        ("come back in 99:59:59", 86_400),
        ("try again in -5 seconds", None),
        ("try again later", None),
        ("in 2026 we moved", None),
        ("queued for 3 mailboxes", None),
        ("", None),
    ],
)
def test_an_invitation_to_come_back_is_understood(text: str, seconds: float | None) -> None:
    assert again_in(text) == seconds


def test_only_a_temporary_refusal_has_a_time_to_come_back() -> None:
    assert classify(Stage.RCPT, Reply(450, "try again in 5 minutes")).retry_after == 300
    assert classify(Stage.RCPT, Reply(550, "try again in 5 minutes")).retry_after is None


def test_no_rule_is_shadowed_by_the_ones_above_it() -> None:
    """Each rule decides at least one reply; else it could be deleted without anybody noticing."""
    deciding = set()
    for stage in Stage:
        for code in range(1000):
            for enhanced in ("", "5.7.1", "5.6.7", "5.1.1"):
                fitting = (rule for rule in rules() if rule.fits(stage, f"{code:03d}", enhanced))
                deciding.add(rules().index(next(fitting)))
    assert deciding == set(range(len(rules())))
