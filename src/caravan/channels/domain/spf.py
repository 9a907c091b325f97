"""SPF (RFC 7208): who may send in a domain's name, and whether receivers can find that out within their limits."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from caravan.channels.domain.finding import Finding, Verdict
from caravan.channels.domain.lookups import Address, Lookups

_MOST_LOOKUPS: Final = 10  # §4.6.4
_MOST_VOID: Final = 2
_MOST_MX: Final = 10
_DEEPEST: Final = 12  # of includes; the limit of lookups comes first
_TERM: Final = re.compile(r"(?P<sign>[-+~?]?)(?P<name>[A-Za-z][A-Za-z0-9._-]*)(?P<rest>[:/=].*)?")
_ASKS: Final = ("include", "a", "mx", "ptr", "exists")
_RESULTS: Final = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_CIDR: Final = re.compile(r"(?P<domain>[^/]*)(?:/(?P<four>\d{1,3}))?(?://(?P<six>\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism, or a modifier, whose sign is "="."""

    sign: str
    name: str
    value: str  # behind the colon or the equals sign, with a prefix length


class Broken(Exception):
    """Receivers see a permanent error: nobody passes (§2.6.7). The message is the sentence that says so."""


@dataclass(slots=True)
class Spent:
    """What receivers have to ask for, and what else is to be said."""

    lookups: int = 0
    void: int = 0
    remarks: list[str] = field(default_factory=list)


async def check_spf(lookups: Lookups, domain: str, addresses: list[Address]) -> list[Finding]:
    """The record of the domain, and whether it lets these addresses send."""
    spent = Spent()
    try:
        terms = await record_of(lookups, domain)
        if terms is None:
            return [
                _mend(f"{domain} has no SPF record. Publish one as TXT that names your relay: v=spf1 include:… -all")
            ]
        await _walk(lookups, domain, terms, spent, (domain,))
    except Broken as broken:
        return [_mend(str(broken))]
    found = [*_of_end(domain, terms), *_of_limits(domain, spent)]
    found += [Finding("SPF", Verdict.BETTER, each) for each in dict.fromkeys(spent.remarks)]
    for address in addresses:
        found.append(await _of_address(lookups, domain, terms, address))
    return found


async def record_of(lookups: Lookups, domain: str) -> list[Term] | None:
    """The terms of a domain's record; None if it has none. Raises `Broken`."""
    texts = await lookups.txt(domain)
    records = [each for each in texts if re.match(r"v=spf1(?: |$)", each, re.IGNORECASE)]
    if len(records) > 1:
        raise Broken(
            f"{domain} has {len(records)} SPF records, so receivers use none (RFC 7208 §4.5). Join them in one."
        )
    return [_term(domain, each) for each in records[0].split(" ")[1:] if each] if records else None


def _term(domain: str, text: str) -> Term:
    found = _TERM.fullmatch(text)
    if found is None:
        raise Broken(f"The SPF record of {domain} can't be read at {text!r}, so receivers use none of it. Mend that.")
    name, rest = found["name"].lower(), found["rest"] or ""
    if rest.startswith("="):
        if found["sign"]:
            raise Broken(f"The SPF record of {domain} has a sign before {text!r}, so receivers use none of it.")
        return Term("=", name, rest[1:])
    if name not in (*_ASKS, "all", "ip4", "ip6"):
        raise Broken(f"The SPF record of {domain} names {text!r}, which SPF does not have. Mend that.")
    value = rest[1:] if rest.startswith(":") else rest
    if (name in ("include", "exists", "ip4", "ip6") and not value) or (name == "all" and value):
        raise Broken(f"The SPF record of {domain} can't be read at {text!r}, so receivers use none of it. Mend that.")
    if name in ("ip4", "ip6"):
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            raise Broken(f"{text!r} in the SPF record of {domain} is no network. Mend that.") from None
        if network.version != int(name[2]):
            raise Broken(f"{text!r} in the SPF record of {domain} is no network of its kind. Mend that.")
    return Term(found["sign"], name, value)


async def _walk(lookups: Lookups, domain: str, terms: list[Term], spent: Spent, way: tuple[str, ...]) -> None:
    """Count what receivers ask for, in the worst case: of a sender that no mechanism lets pass."""
    for term in terms:
        target = _CIDR.fullmatch(term.value)
        name = (target["domain"] if target else term.value) or domain
        asks = term.name in _ASKS if term.sign != "=" else _is_redirect(term, terms)
        if not asks:
            continue
        spent.lookups += 1
        if term.name == "ptr":
            spent.remarks.append(
                f"The SPF record of {domain} uses ptr, which is slow and not to be used (RFC 7208 §5.5)."
            )
        if "%" in name or spent.lookups > 5 * _MOST_LOOKUPS:  # a macro depends on the mail
            continue
        if term.name in ("include", "redirect"):
            await _follow(lookups, domain, name, spent, way)
        elif term.name in ("a", "exists"):
            spent.void += not await lookups.addresses(name)
        elif term.name == "mx":
            exchangers = await lookups.mx(name)
            spent.void += not exchangers
            if len(exchangers) > _MOST_MX:
                raise Broken(
                    f"mx in the SPF record of {domain} stands for more than {_MOST_MX} hosts (RFC 7208 §4.6.4)."
                )


async def _follow(lookups: Lookups, domain: str, name: str, spent: Spent, way: tuple[str, ...]) -> None:
    name = name.lower().rstrip(".")
    if name in way or len(way) > _DEEPEST:
        raise Broken(f"The SPF record of {domain} leads back to {name} in a circle, so receivers use none of it.")
    inner = await record_of(lookups, name)
    if inner is None:
        raise Broken(f"The SPF record of {domain} leads to {name}, which has none, so receivers use none of it.")
    await _walk(lookups, name, inner, spent, (*way, name))


def _is_redirect(term: Term, terms: list[Term]) -> bool:
    """Whether it leads on: beside an `all` it is ignored (§6.1)."""
    return term.name == "redirect" and not any(each.name == "all" for each in terms)


def _of_end(domain: str, terms: list[Term]) -> list[Finding]:
    """What the record says of everybody whom it does not name."""
    last = next((each for each in terms if each.sign != "=" and each.name == "all"), None)
    if last is None:
        if any(_is_redirect(each, terms) for each in terms):
            return [Finding("SPF", Verdict.WELL, f"{domain} has one SPF record, which leads on to another.")]
        sentence = f"The SPF record of {domain} does not say what of all others. End it with -all or ~all."
        return [Finding("SPF", Verdict.BETTER, sentence)]
    found = []
    if any(each.sign != "=" for each in terms[terms.index(last) + 1 :]):
        sentence = f"What follows all in the SPF record of {domain} is ignored. Put it before."
        found.append(_mend(sentence))
    if last.sign in ("", "+"):
        return [*found, _mend(f"The SPF record of {domain} ends with +all: anyone may send in its name. Write -all.")]
    if last.sign == "?":
        sentence = f"The SPF record of {domain} ends with ?all, which says nothing of others. Write -all or ~all."
        return [*found, Finding("SPF", Verdict.BETTER, sentence)]
    return [*found, Finding("SPF", Verdict.WELL, f"{domain} has one SPF record, which ends with {last.sign}all.")]


def _of_limits(domain: str, spent: Spent) -> list[Finding]:
    found = []
    if spent.lookups > _MOST_LOOKUPS:
        sentence = (
            f"The SPF record of {domain} needs {spent.lookups} lookups, and receivers stop at {_MOST_LOOKUPS} with an"
            " error (RFC 7208 §4.6.4). Take out what sends no more, or write addresses for names."
        )
        found.append(_mend(sentence))
    else:
        sentence = f"The SPF record of {domain} needs {spent.lookups} of {_MOST_LOOKUPS} lookups."
        found.append(Finding("SPF", Verdict.WELL, sentence))
    if spent.void > _MOST_VOID:
        sentence = (
            f"{spent.void} names in the SPF record of {domain} lead to nothing, and receivers stop after {_MOST_VOID}"
            " (RFC 7208 §4.6.4). Take them out."
        )
        found.append(_mend(sentence))
    return found


async def _of_address(lookups: Lookups, domain: str, terms: list[Term], address: Address) -> Finding:
    try:
        result = await evaluate(lookups, domain, terms, address)
    except Broken as broken:
        return _mend(str(broken))
    if result == "pass":
        return Finding("SPF", Verdict.WELL, f"The SPF record of {domain} lets {address} send.")
    return _mend(f"The SPF record of {domain} does not let {address} send ({result}). Add it, or its relay's include.")


async def evaluate(lookups: Lookups, domain: str, terms: list[Term], address: Address, depth: int = 0) -> str:
    """The result for a sender with this address (§4.6); what depends on macros or ptr does not match."""
    for term in terms:
        if term.sign != "=" and await _matches(lookups, domain, term, address, depth):
            return _RESULTS[term.sign]
    for term in terms:
        if term.sign == "=" and _is_redirect(term, terms) and depth < _DEEPEST:
            inner = await record_of(lookups, term.value)
            return "permerror" if inner is None else await evaluate(lookups, term.value, inner, address, depth + 1)
    return "neutral"


async def _matches(lookups: Lookups, domain: str, term: Term, address: Address, depth: int) -> bool:
    if term.name == "all":
        return True
    if term.name in ("ip4", "ip6"):
        return address in ip_network(term.value, strict=False)
    if "%" in term.value:
        return False
    if term.name == "include" and depth < _DEEPEST:
        inner = await record_of(lookups, term.value)
        return inner is not None and await evaluate(lookups, term.value, inner, address, depth + 1) == "pass"
    target = _CIDR.fullmatch(term.value)
    if term.name not in ("a", "mx") or target is None:
        return term.name == "exists" and bool(await lookups.addresses(term.value))
    name = target["domain"] or domain
    hosts = [name] if term.name == "a" else (await lookups.mx(name))[:_MOST_MX]
    length = target["four"] if address.version == 4 else target["six"]
    found = [each for host in hosts for each in await lookups.addresses(host)]
    return any(
        address in ip_network(f"{each}/{length or each.max_prefixlen}", strict=False)
        for each in found
        if _same(each, address)
    )


def _same(one: Address, other: Address) -> bool:
    return ip_address(one).version == other.version


def _mend(sentence: str) -> Finding:
    return Finding("SPF", Verdict.MEND, sentence)
