"""What a relay says decides between failed, retried and unknown; the rules are in replies.yaml."""

from pathlib import Path

import pytest

from caravan.channels.replies import Reply, Rule, Stage, again_in, classify, read_rules, shipped
from caravan.delivery.result import Result
from caravan.errors import InvalidSetting
from caravan.store.suppressions import Reason


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
    rules, deciding = shipped(), set[Rule]()
    codes = ("", "5.7.1", "5.6.7", "5.1.1", "5.1.7", "5.1.8", "5.1.10", "5.2.1", "5.2.2", "5.4.1", "5.4.4", "4.7.28")
    for stage in Stage:
        for code in range(1000):
            for enhanced in codes:
                deciding.update(rules.fitting(stage, f"{code:03d}", enhanced, None))
            for provider in ("yahoo", "comcast"):
                deciding.update(rules.fitting(stage, f"{code:03d}", "", provider))
    assert [rule for rule in rules.rules if rule not in deciding] == []


@pytest.mark.parametrize(
    ("code", "text", "provider", "signal", "suppressed"),
    [
        (451, "4.7.1 [TSS04] Messages temporarily deferred", "yahoo", ("stop", 7_200, 1), False),
        (421, "4.7.0 [TS01] All messages will be permanently deferred", "yahoo", ("stop", 7_200, 1), False),
        (451, "4.7.650 The mail server has been temporarily rate limited due to IP reputation", "microsoft",
         ("slow", 5_400, 1), False),
        (421, "4.7.28 Gmail has detected an unusual rate", "gmail", ("slow", 5_400, 5), False),
        (550, "5.7.1 Service unavailable; client host blocked using Spamhaus", "gmail", ("stop", 3_600, 20), False),
        (550, "5.1.1 The email account that you tried to reach does not exist", "gmail", None, True),
        (550, "5.7.26 This mail is unauthenticated", "gmail", None, False),
        (450, "4.2.0 Greylisted", "gmail", None, False),
    ],
)  # fmt: skip
def test_a_reply_asks_this_of_all_who_send_there(
    code: int, text: str, provider: str, signal: tuple[str, float, int] | None, suppressed: bool
) -> None:
    result = shipped().classify(Stage.RCPT, Reply(code, text), provider)
    found = None if result.heard is None else result.heard.signal
    assert (found and (str(found.act), found.seconds, found.after)) == signal
    assert (result.suppress is Reason.HARD_BOUNCE) == suppressed


def test_rules_of_the_operator_go_before_ours(tmp_path: Path) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text("- {code: 550, enhanced: 5.1.1, text: 'quota', result: retry, slow: {rate: 10/min, for: 1h}}\n")
    rules = read_rules(file)
    ours, theirs = Reply(550, "5.1.1 nobody"), Reply(550, "5.1.1 over Quota")
    assert rules.classify(Stage.RCPT, ours).result is Result.FAILED
    found = rules.classify(Stage.RCPT, theirs, "gmail")
    assert found.result is Result.RETRY and found.heard is not None and found.heard.signal is not None
    assert (found.heard.provider, found.heard.signal.rate) == ("gmail", pytest.approx(1 / 6))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- {code: 55, result: failed}", "line 1: code should be three digits"),
        ("- {code: 550}", "line 1: result should be one of sent, failed"),
        ("\n- {code: 550, result: fail}", "line 2: result should be one of"),
        ("- {code: 550, result: failed, stage: greeting}", "line 1: stage should be one of connect"),
        ("- {code: 550, result: failed, enhanced: 5.7}", "enhanced should be like 5.7.1"),
        ("- {code: 550, result: failed, text: '(x'}", "text is no regular expression"),
        ("- {code: 450, result: retry, suppress: true}", "suppress goes with result: failed"),
        ("- {code: 450, result: retry, stop: {after: 3}}", "stop needs for"),
        ("- {code: 450, result: retry, stop: {for: 3}}", "stop.for should be a time like"),
        ("- {code: 450, result: retry, slow: {for: 1h}}", "slow needs a rate or connections"),
        ("- {code: 450, result: retry, slow: {rate: fast, for: 1h}}", "slow.rate should be a rate like"),
        ("- {code: 450, result: retry, slows: {rate: 1/s, for: 1h}}", "no member 'slows'; did you mean slow?"),
        ("- {code: 450, result: retry, slow: {rate: 1/s, for: 1h}, stop: {for: 1h}}", "slow or stop, not both"),
        ("- {code: 450, result: retry, stop: {for: 1h, what: all}}", "stop.what should be provider or relay"),
        ("code: 450", "line 1: the file should be a list"),
        ("- [x", "can't be used: line"),
    ],
)
def test_what_is_wrong_in_rules_is_told_by_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSetting) as wrong:
        read_rules(file)
    assert problem in wrong.value.message
