"""DMARC (RFC 9989): what receivers do with mail in a domain's name that neither SPF nor DKIM vouches for."""

import re
from dataclasses import dataclass
from typing import Final

from caravan.channels.domain.finding import Finding, Verdict
from caravan.channels.domain.lookups import Lookups
from caravan.channels.domain.tags import tags_of

_POLICIES: Final = ("none", "quarantine", "reject")
_LONG, _LEFT = 8, 7  # labels: a longer name is cut to so many at once (§4.10)
_DROPPED: Final = ("pct", "rf", "ri")  # tags of RFC 7489 that RFC 9989 has no more


@dataclass(frozen=True, slots=True)
class Policy:
    """The record that one name has."""

    name: str
    tags: dict[str, str]


class Broken(Exception):
    """Receivers don't use the record. The message is the sentence that says so."""


async def check_dmarc(lookups: Lookups, domain: str) -> list[Finding]:
    """The record that holds for the domain, its own or that of its organizational domain."""
    try:
        policy = await policy_of(lookups, domain)
        if policy is None:
            sentence = (
                f"No DMARC record holds for {domain}, which large mailbox providers demand. Publish one as TXT at"
                f" _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:… and later p=quarantine or reject."
            )
            return [_mend(sentence)]
        return _of_policy(domain, policy)
    except Broken as broken:
        return [_mend(str(broken))]


async def policy_of(lookups: Lookups, domain: str) -> Policy | None:
    """The domain's own record, else that of the organizational domain, else of its public suffix (§4.10.1)."""
    walked: list[Policy] = []
    for name in names_up(domain):
        found = await _record(lookups, name)
        if found is None:
            continue
        walked.append(found)
        if name == domain:
            return found
        if found.tags.get("psd") == "y" and len(walked) > 1 and walked[-2].name.partition(".")[2] == name:
            return walked[-2]
        if found.tags.get("psd") in ("n", "y"):
            break
    return walked[-1] if walked else None


def names_up(domain: str) -> list[str]:
    """The names that the tree walk asks, from the domain up."""
    labels, names = domain.split("."), []
    while labels:
        names.append(".".join(labels))
        labels = labels[-_LEFT:] if len(labels) > _LONG else labels[1:]
    return names


async def _record(lookups: Lookups, name: str) -> Policy | None:
    texts = await lookups.txt(f"_dmarc.{name}")
    records = [each for each in texts if re.match(r"v\s*=\s*DMARC1\s*(?:;|$)", each)]
    if len(records) > 1:
        raise Broken(f"There are {len(records)} DMARC records at _dmarc.{name}, so receivers use none. Leave one.")
    if not records:
        if any("dmarc1" in each.lower() for each in texts):
            raise Broken(f"The record at _dmarc.{name} is not used: it has to begin with v=DMARC1, in these letters.")
        return None
    try:
        return Policy(name, tags_of(records[0]))
    except ValueError as error:
        raise Broken(f"The DMARC record at _dmarc.{name} can't be read at {str(error)!r}.") from None


def _of_policy(domain: str, policy: Policy) -> list[Finding]:
    tags, where = policy.tags, f"The DMARC record at _dmarc.{policy.name}"
    named = "p" if policy.name == domain or "sp" not in tags else "sp"
    wanted = tags.get(named, "").lower()
    reports = [each.strip() for each in tags.get("rua", "").split(",") if each.strip()]
    found = []
    if not wanted:
        sentence = f"{where} has no policy (p=), which older receivers refuse and others take for none. Write one."
        found.append(Finding("DMARC", Verdict.BETTER, sentence))
    elif wanted not in _POLICIES:
        sentence = f"{where} has no policy that receivers know ({named}=): write none, quarantine or reject."
        found.append(_mend(sentence))
    elif wanted == "none":
        sentence = (
            f"{where} asks for nothing ({named}=none): anyone can send in the name of {domain}. Once the reports"
            " show that your own mail passes, write quarantine or reject."
        )
        found.append(Finding("DMARC", Verdict.BETTER, sentence))
    else:
        found.append(Finding("DMARC", Verdict.WELL, f"{where} holds for {domain}, with {named}={wanted}."))
    if tags.get("t", "n").lower() == "y":
        sentence = (
            f"{where} says that it is a test (t=y), so receivers do less than it asks. Take that out once all is well."
        )
        found.append(Finding("DMARC", Verdict.BETTER, sentence))
    return [*found, *_of_reports(where, reports), *_of_tags(where, tags), _of_alignment(domain, tags)]


def _of_reports(where: str, reports: list[str]) -> list[Finding]:
    if not reports:
        sentence = f"{where} names no place for reports (rua=), so nobody tells you what fails. Add rua=mailto:…"
        return [Finding("DMARC", Verdict.BETTER, sentence)]
    wrong = [each for each in reports if not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+", each, re.IGNORECASE)]
    return [_mend(f"{where} wants reports at {each!r}, which is no mailto: address.") for each in wrong]


def _of_tags(where: str, tags: dict[str, str]) -> list[Finding]:
    old = [each for each in _DROPPED if each in tags]
    found = []
    if old:
        sentence = f"{where} has {', '.join(f'{each}=' for each in old)}, which RFC 9989 has dropped. Take it out."
        found.append(Finding("DMARC", Verdict.BETTER, sentence))
    wrong = [each for each in ("adkim", "aspf") if tags.get(each, "r").lower() not in ("r", "s")]
    return [*found, *(_mend(f"{where} has {each}={tags[each]}; it is r or s.") for each in wrong)]


def _of_alignment(domain: str, tags: dict[str, str]) -> Finding:
    """Caravan's envelope sender is the address in From, so the domain that SPF is about is always that of From."""
    dkim = "exactly" if tags.get("adkim", "r").lower() == "s" else "or its organizational domain"
    sentence = (
        f"SPF is aligned, since the envelope sender is the address in From. DKIM is if mail is signed with"
        f" d={domain} {dkim}."
    )
    return Finding("DMARC", Verdict.WELL, sentence)


def _mend(sentence: str) -> Finding:
    return Finding("DMARC", Verdict.MEND, sentence)
