"""The file that describes any HTTP API that sends text messages: read whole, so that every problem is told at once,
each with its line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Self

import jsonpath
from pydantic import AfterValidator, Field, ValidationError

from caravan.channels.headers import header_problem
from caravan.channels.sms.numbers import check_sender
from caravan.channels.sms.rules import Meaning
from caravan.channels.sms.secrets import is_reference
from caravan.channels.webhook_save import check_path
from caravan.errors import InvalidDefinition, InvalidSetting, Problem, RenderFailed
from caravan.journeys.document import Mapping, read_document
from caravan.journeys.fields import LineTemplate, TemplateText
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.placeholders import compile_template
from caravan.journeys.step_node import StepNode, join, plain, split
from caravan.journeys.wording import explain

#: The names that the templates of a gateway's file may use.
NAMES: Final = ("to", "from", "text", "key", "segments", "encoding", "report_url", "secrets")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}", re.ASCII)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a gateway's name is a word of at most 41 letters, digits, _ and -")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("a gateway's url begins with https:// or http://")
    return text


def _method(text: str) -> str:
    if text not in ("POST", "PUT", "GET"):
        raise ValueError("the method is POST, PUT or GET")
    return text


def _status(text: str) -> str:
    if not re.fullmatch("[1-5][0-9x][0-9x]", text):
        raise ValueError("a status is three digits, with x for any: 200, 2xx")
    return text


def _reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError("a secret stands here as env:NAME or file:/path, and never itself")
    return text


def _own_sender(text: str) -> str:
    try:
        return check_sender(text)
    except RenderFailed as error:
        raise ValueError(error.message.removesuffix(".")) from None


Status = Annotated[str, AfterValidator(_status)]
JsonPath = Annotated[str, AfterValidator(check_path)]


class Sent(DefinitionPart):
    """When a message was taken: by the answer's status and, if they are given, by values in its JSON."""

    status: list[Status] = Field(default_factory=lambda: ["2xx"])
    where: dict[JsonPath, list[str]] = Field(default_factory=dict)
    id: JsonPath | None = None


class ErrorOf(DefinitionPart):
    """Where an answer says what went wrong."""

    code: JsonPath | None = None
    text: JsonPath | None = None


class RuleOf(DefinitionPart):
    """What an answer means; see rules.py."""

    result: Meaning
    status: list[Status] = Field(default_factory=list)
    codes: list[str] = Field(default_factory=list)


class Verify(DefinitionPart):
    """How a call that comes in is known to be the gateway's: exactly one of `standard_webhooks`, `header` and
    `query`."""

    standard_webhooks: str | None = None  # a secret's name
    header: str | None = None
    query: str | None = None
    secret: str | None = None  # a secret's name, for `header` and `query`


class Reports(DefinitionPart):
    """How the gateway reports what became of a message."""

    each: JsonPath | None = None  # where one call brings several
    key: JsonPath | None = None  # our reference, where it is not in the address
    status: JsonPath
    delivered: list[str] = Field(min_length=1)
    failed: list[str] = Field(min_length=1)
    code: JsonPath | None = None
    id: JsonPath | None = None


class Replies(DefinitionPart):
    """How the gateway hands on what recipients answer."""

    each: JsonPath | None = None
    sender: JsonPath = Field(alias="from")
    to: JsonPath
    text: JsonPath
    id: JsonPath | None = None


class GatewayFile(DefinitionPart):
    """A gateway."""

    name: Annotated[str, AfterValidator(_name)]
    url: Annotated[LineTemplate, AfterValidator(_url)]
    method: Annotated[str, AfterValidator(_method)] = "POST"
    headers: dict[str, LineTemplate] = Field(default_factory=dict)
    body: TemplateText = ""
    sender: Annotated[str, AfterValidator(_own_sender)] | None = Field(None, alias="from")
    secrets: dict[str, Annotated[str, AfterValidator(_reference)]] = Field(default_factory=dict)
    sent: Sent = Field(default_factory=Sent)
    error: ErrorOf = Field(default_factory=ErrorOf)
    rules: list[RuleOf] = Field(default_factory=list)
    verify: Verify | None = None
    reports: Reports | None = None
    replies: Replies | None = None

    def check(self) -> Iterator[tuple[str, str]]:
        """What else is wrong with it: (where, message)."""
        for name in self.headers:
            if (problem := header_problem(name)) is not None and name.lower() != "idempotency-key":
                yield f"headers.{name}", f"the header '{name}' {problem}"
        for name in self.secrets:
            if not _WORD.fullmatch(name):
                yield f"secrets.{name}", "a secret's name is a word of letters, digits and _"
        for where, text in (("url", self.url), ("body", self.body), *self._header_texts()):
            yield from ((where, problem) for problem in self._unknown_names(text))
        for index, rule in enumerate(self.rules):
            if not rule.status and not rule.codes:
                yield f"rules[{index}]", "a rule has status or codes, or both"
            if rule.codes and self.error.code is None:
                yield f"rules[{index}].codes", "codes are looked for where error.code leads, which is missing"
        yield from self._check_verify()

    def _header_texts(self) -> Iterator[tuple[str, str]]:
        return ((f"headers.{name}", text) for name, text in self.headers.items())

    def _unknown_names(self, text: str) -> Iterator[str]:
        compiled = compile_template(text)
        for name in sorted(compiled.names - set(NAMES)):
            yield f"there is no {{{{ {name} }}}} here; there are {', '.join(NAMES)}"
        for name in sorted(set(re.findall(r"\bsecrets\.([A-Za-z_][A-Za-z0-9_]*)", text)) - set(self.secrets)):
            yield f"there is no secret '{name}'; it stands below secrets, as env:NAME or file:/path"

    def _check_verify(self) -> Iterator[tuple[str, str]]:
        wanted = "reports" if self.reports is not None else "replies" if self.replies is not None else None
        if self.verify is None:
            if wanted is not None:
                yield wanted, "what comes in must be known to be the gateway's: say how at verify"
            return
        ways = [name for name in ("standard_webhooks", "header", "query") if getattr(self.verify, name) is not None]
        if len(ways) != 1:
            yield "verify", "exactly one of standard_webhooks, header and query stands here"
            return
        named = self.verify.standard_webhooks if ways == ["standard_webhooks"] else self.verify.secret
        if named is None:
            yield "verify", "secret is missing: the name of the one that the gateway sends along"
        elif named not in self.secrets:
            yield "verify", f"there is no secret '{named}' below secrets"

    @classmethod
    def parse(cls, source: str) -> Self:
        """Read a file's text. Raises `InvalidDefinition` with all problems."""
        if not source.strip():
            raise InvalidDefinition([Problem(0, "", "the file is empty; a gateway has a name and a url")])
        try:
            found = read_document(source)
        except InvalidDefinition as error:
            raise InvalidDefinition([_reworded(each) for each in error.problems]) from None
        if not isinstance(found.root, Mapping):
            message = f"a gateway has the keys {', '.join(_keys(cls))}"
            raise InvalidDefinition([Problem(found.root.line, "", message)])
        node, problems = StepNode(found.root, 0), [_reworded(each) for each in found.problems]

        def note(path: tuple[str | int, ...], message: str) -> None:
            problems.append(Problem(node.line_of(path), join(path).lstrip("."), message))

        read: Self | None = None
        try:
            read = cls.model_validate(plain(found.root, typed=False))
        except ValidationError as error:
            for each in error.errors(include_url=False):
                note(*explain(each, cls))
        for where, message in read.check() if read is not None else ():
            note(tuple(split(where)), message)
        if read is None or problems:
            raise InvalidDefinition(problems)
        return read


def read_gateway_file(path: Path) -> GatewayFile:
    """The gateway that a file describes. Raises `InvalidSetting` with all problems, each with its line."""
    try:
        source = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidSetting(f"The file of the SMS gateway, {path}, can't be read.") from None
    try:
        return GatewayFile.parse(source)
    except InvalidDefinition as error:
        count = "1 problem" if len(error.problems) == 1 else f"{len(error.problems)} problems"
        told = "; ".join(map(str, error.problems))
        raise InvalidSetting(f"The file of the SMS gateway, {path}, has {count}: {told}.") from None


def _reworded(problem: Problem) -> Problem:
    """What the reader of journey files says, without journeys."""
    message = problem.message.replace("one file is one journey", "one file is one gateway")
    return Problem(problem.line, problem.where, message.replace(" in a journey", " here"))


def _keys(part: type[DefinitionPart]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def paths_in(found: Any, path: str | None) -> list[Any]:
    """What a JSONPath leads to in a value; nothing for none."""
    if path is None:
        return []
    try:
        return list(jsonpath.compile(path, strict=True).findall(found))
    except (jsonpath.JSONPathError, RecursionError):
        return []
