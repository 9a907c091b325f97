"""DKIM (RFC 6376): the keys with which a relay signs in a domain's name."""

from base64 import b64decode
from typing import Final

from caravan.channels.domain.finding import Finding, Verdict
from caravan.channels.domain.lookups import Lookups
from caravan.channels.domain.tags import tags_of

_SHORTEST, _GOOD = 1024, 2048  # bits (RFC 8301 §3.2)
_ED25519: Final = 32  # octets (RFC 8463 §4)
_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03  # tags of DER (X.690)


async def check_dkim(lookups: Lookups, domain: str, selectors: list[str]) -> list[Finding]:
    """The key of each selector."""
    if not selectors:
        sentence = "No DKIM key was looked at: the DNS can't be asked for all. Name those in use with --selector."
        return [Finding("DKIM", Verdict.BETTER, sentence)]
    return [each for selector in selectors for each in await _check_key(lookups, domain, selector)]


async def _check_key(lookups: Lookups, domain: str, selector: str) -> list[Finding]:
    name = f"{selector}._domainkey.{domain}"
    records = await lookups.txt(name)
    if not records:
        return [_mend(f"There is no DKIM key at {name}. Publish the key that mail is signed with there.")]
    if len(records) > 1:
        return [_mend(f"There are {len(records)} records at {name}, so which is the key is not known. Leave one.")]
    return _check_record(name, records[0])


def _check_record(name: str, record: str) -> list[Finding]:
    try:
        tags = tags_of(record)
    except ValueError as error:
        return [_mend(f"The DKIM key at {name} can't be read at {str(error)!r}.")]
    kind, key = tags.get("k", "rsa"), "".join(tags.get("p", "").split())
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        return [_mend(f"The record at {name} is no DKIM key: it has to begin with v=DKIM1 (RFC 6376 §3.6.1).")]
    if "p" not in tags:
        return [_mend(f"The DKIM record at {name} has no key (p=). Publish the key that mail is signed with.")]
    if not key:
        sentence = (
            f"The DKIM key at {name} is revoked (p= is empty): what is signed with it fails. Sign with another one."
        )
        return [_mend(sentence)]
    found = [_of_strength(name, kind, key)]
    if "h" in tags and "sha256" not in [each.strip() for each in tags["h"].split(":")]:
        found.append(
            _mend(f"The DKIM key at {name} does not allow sha256 (h=), which relays sign with (RFC 8301 §3.1).")
        )
    if "s" in tags and not {"*", "email"} & {each.strip() for each in tags["s"].split(":")}:
        found.append(_mend(f"The DKIM key at {name} is not for mail (s=)."))
    if "y" in [each.strip() for each in tags.get("t", "").split(":")]:
        sentence = f"The DKIM key at {name} says that it is a test (t=y), so receivers may ignore it. Take that out."
        found.append(Finding("DKIM", Verdict.BETTER, sentence))
    return found


def _of_strength(name: str, kind: str, key: str) -> Finding:
    try:
        octets = b64decode(key, validate=True)
        bits = rsa_bits(octets) if kind == "rsa" else 0
    except ValueError:
        return _mend(f"The DKIM key at {name} is no {kind} key: p= can't be read. Copy it once more, whole.")
    if kind == "ed25519":
        if len(octets) != _ED25519:
            return _mend(f"The DKIM key at {name} is no ed25519 key: it has {len(octets)} octets, not {_ED25519}.")
        sentence = f"The DKIM key at {name} is ed25519. Sign with an RSA key too: not all receivers know this kind."
        return Finding("DKIM", Verdict.WELL, sentence)
    if kind != "rsa":
        return _mend(
            f"The DKIM key at {name} is of the kind {kind!r}, which receivers don't know; rsa and ed25519 are."
        )
    if bits < _SHORTEST:
        return _mend(
            f"The DKIM key at {name} has {bits} bits; under {_SHORTEST} receivers ignore it. Make one of {_GOOD}."
        )
    if bits < _GOOD:
        sentence = f"The DKIM key at {name} has {bits} bits. Make one of {_GOOD} (RFC 8301 §3.2)."
        return Finding("DKIM", Verdict.BETTER, sentence)
    return Finding("DKIM", Verdict.WELL, f"The DKIM key at {name} is RSA with {bits} bits.")


def rsa_bits(octets: bytes) -> int:
    """The size of an RSA key, given as SubjectPublicKeyInfo or RSAPublicKey (RFC 8017 §A.1.1). Raises `ValueError`."""
    inner, _ = _take(octets, _SEQUENCE)
    if inner[:1] == bytes([_SEQUENCE]):
        _, rest = _take(inner, _SEQUENCE)
        held, _ = _take(rest, _BIT_STRING)
        inner, _ = _take(held[1:], _SEQUENCE)
    modulus, _ = _take(inner, _INTEGER)
    return int.from_bytes(modulus, "big").bit_length()


def _take(octets: bytes, tag: int) -> tuple[bytes, bytes]:
    """What stands in the first element, and what follows it (X.690 §8.1). Raises `ValueError`."""
    if len(octets) < 2 or octets[0] != tag:
        raise ValueError("another element of DER")
    length, at = octets[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(octets[2:at], "big")
    if len(octets) < at + length:
        raise ValueError("DER that is cut off")
    return octets[at : at + length], octets[at + length :]


def _mend(sentence: str) -> Finding:
    return Finding("DKIM", Verdict.MEND, sentence)
