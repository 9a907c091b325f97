"""Lines of the log: as text and as JSON, with what they belong to, without secrets."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from caravan.cli.session import LIBRARIES, start_logging
from caravan.console.layout import lay_out
from caravan.logs import LogHandler, formatter
from caravan.masking import Masker
from caravan.server.supervisor import OPERATOR, say
from caravan.settings import LogFormat, Settings

FORMATS = pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
_SECRET = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=6).filter(
    lambda text: len("".join(text.split())) > 4
)


def _line(log: Callable[[logging.Logger], object], *, as_json: bool, known: str = "sesame-4711") -> str:
    """What is written of what `log` does with a logger."""
    stream, logger = io.StringIO(), logging.Logger("caravan.test")
    handler = LogHandler(stream)
    handler.setFormatter(formatter(Masker([known]), as_json=as_json))
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue()


def test_a_line_of_text_says_when_how_bad_from_where_what_and_what_of() -> None:
    with bound_contextvars(cohort=7, batch="b_1"):
        line = _line(lambda log: log.warning("It is %s", "away"), as_json=False)
    when, _, rest = line.partition(" ")
    assert (when[10], when[-1]) == ("T", "Z")
    assert rest == "WARNING caravan.test: It is away [batch=b_1 cohort=7]\n"
    assert _line(lambda log: log.warning("It is back"), as_json=False).endswith(" caravan.test: It is back\n")


def test_a_line_of_json_is_one_object_with_the_same() -> None:
    with bound_contextvars(cohort=7, request="r 1"):
        found = json.loads(_line(lambda log: log.warning("It is %s", "away"), as_json=True))
    assert found.pop("timestamp").endswith("Z")
    assert found.pop("pid") > 0
    assert found == {
        "level": "warning",
        "logger": "caravan.test",
        "message": "It is away",
        "cohort": 7,
        "request": "r 1",
    }


def _fail(log: logging.Logger) -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        log.exception("It failed")


def test_a_traceback_follows_the_line_of_text_and_is_in_the_object_of_json() -> None:
    first, second, *_ = _line(_fail, as_json=False).splitlines()
    assert first.endswith("It failed")
    assert second == "Traceback (most recent call last):"
    (line,) = _line(_fail, as_json=True).splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: broken\nin two")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_is_one_line_whatever_it_holds(message: str) -> None:
    """Else what a client sends could make up lines."""
    with bound_contextvars(name=message):
        text = _line(lambda log: log.warning("%s", message), as_json=False)
        found = json.loads(_line(lambda log: log.warning("%s", message), as_json=True))
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable() or not message.isprintable()
    assert Masker().text(message) == found["message"]


@FORMATS
@given(secret=_SECRET, around=st.sampled_from(["%s", "<%s>", "%r", "%a"]))
def test_a_secret_is_in_no_line(as_json: bool, secret: str, around: str) -> None:
    def log(logger: logging.Logger) -> None:
        logger.warning(f"in the message {secret}".replace("%", "%%"), *())
        logger.warning(around, secret)
        logger.warning("in a dict %(deep)s", {"deep": {"er": [secret]}})
        try:
            try:
                raise KeyError(secret)
            except KeyError as error:
                error.add_note(f"a note: {secret}")
                raise ConnectionError(f"to {secret}") from error
        except ConnectionError:
            logger.exception("in a traceback")
        logger.warning("in %d", secret)  # can't be formatted

    with bound_contextvars(bound=secret, deep={"er": [secret]}):
        lines = _line(log, as_json=as_json, known=secret).splitlines()
    assert "\n".join(lines).count("***") >= 8
    for line in lines:
        for said in _texts(json.loads(line)) if as_json else [line.partition(" caravan.test: ")[2] or line]:
            assert secret not in said or secret in "  [bound=*** deep={'er': ['***']}]"


def _texts(value: object) -> Iterator[str]:
    """The texts in a JSON value, without what each line has."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in ("timestamp", "level", "logger"):
                yield from _texts(each)


@FORMATS
def test_a_line_that_cannot_be_formatted_is_told_of_without_its_arguments(as_json: bool) -> None:
    line = _line(lambda log: log.warning("%d of %s", "four", "unknown-secret"), as_json=as_json)
    assert "test_logs.py" in line
    assert "could not be written: TypeError" in line
    assert "unknown-secret" not in line


@pytest.fixture
def _loggers_as_before() -> Iterator[None]:
    before = {}
    for name in ("", OPERATOR, *LIBRARIES):
        logger = logging.getLogger(name)
        before[logger] = (list(logger.handlers), logger.level, logger.propagate)
    yield
    for logger, (handlers, level, propagate) in before.items():
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.mark.usefixtures("_loggers_as_before")
def test_lines_of_libraries_and_of_what_the_operator_is_told_have_the_format_of_the_settings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for log_format in (LogFormat.TEXT, LogFormat.TEXT, LogFormat.AUTO):
        start_logging(Settings(log_format=log_format, smtp_url="smtp://me:sesame-4711@host"))
        say("The worker died; sesame-4711")
        logging.getLogger("uvicorn.error").error("sesame-4711 is no header")
        logging.getLogger("uvicorn.error").info("not told")
        sentence, line = capsys.readouterr().err.splitlines()
        if log_format is LogFormat.TEXT:
            assert sentence == "The worker died; ***"
            assert line.endswith(" ERROR uvicorn.error: *** is no header")
        else:  # where stderr is no terminal
            assert json.loads(sentence)["message"] == "The worker died; ***"
            assert json.loads(line)["logger"] == "uvicorn.error"


@pytest.mark.usefixtures("_loggers_as_before")
def test_drawing_a_graph_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(Settings(log_format=LogFormat.TEXT))
    lay_out(("a", "b", "c", "d"), (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")), 77.0)
    assert capsys.readouterr().err == ""


def test_before_the_log_has_begun_the_operator_is_told_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    say("It starts")
    assert capsys.readouterr().err == "It starts\n"


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    assert [LogFormat.AUTO.is_json(on_terminal) for on_terminal in (True, False)] == [False, True]
    assert [each.is_json(True) for each in (LogFormat.TEXT, LogFormat.JSON)] == [False, True]
