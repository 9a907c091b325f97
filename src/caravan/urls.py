"""URLs as they are asked for: each octet as it was given, and only what can't stand in a request line encoded.

A URL may carry a signature over its own octets, so `%2F` and `/`, `%27` and `'`, `%7e` and `~` are not the same,
although RFC 3986 §6.2.2 calls some of them equivalent and URL libraries make one of the other.
"""

import re
from typing import Final

from yarl import URL

_PARTS: Final = re.compile(  # RFC 3986 appendix B
    r"(?:(?P<scheme>[^:/?#]+):)?(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?", re.DOTALL
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")  # RFC 3986 §3.1
_MUST_BE_ENCODED: Final = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")  # RFC 3986 §2


def as_asked(url: str) -> URL:
    """`url` for aiohttp, which asks for exactly the path and query in it. It has no fragment: that is never sent.

    Characters that RFC 3986 §2 has no place for (spaces, letters beyond ASCII, double quotes, control characters)
    become the escaped octets of their UTF-8, and the host's name becomes IDNA. A percent sign that begins no escape
    stays, as in browsers. Raises ValueError for what isn't an absolute URL with a host.
    """
    scheme, authority, path, query = _split(url.strip())
    if not scheme or not _SCHEME.fullmatch(scheme) or not authority:
        raise ValueError("This is not an absolute URL with a host.")
    server = URL(f"{scheme}://{authority}/")
    target = _encoded(path or "/") + ("?" if query == "" else "")  # yarl has no empty query
    return URL.build(
        scheme=server.scheme,
        authority=server.raw_authority,
        path=target,
        query_string=_encoded(query or ""),
        encoded=True,
    )


def as_location(url: str) -> str:
    """`url` as it can stand in the header Location (RFC 9110 §10.2.2), with its fragment: only what no URL may have is
    encoded, all else stays octet for octet."""
    return _encoded(url)


def follow(base: URL, location: str) -> URL:
    """The URL that a reference means in an answer of `base`, like a redirect's Location (RFC 3986 §5.2).

    Dot segments are resolved in relative paths alone; all else stays as it is given. aiohttp gives octets that aren't
    UTF-8 as lone surrogates; they are sent as those octets. Raises ValueError as `as_asked` does.
    """
    scheme, authority, path, query = _split(location.strip())
    if scheme is not None:
        return as_asked(location)
    if authority is not None:
        return as_asked(f"{base.scheme}:{location.strip()}")
    _, _, base_path, base_query = _split(str(base))
    if not path:
        path, query = base_path, base_query if query is None else query
    elif not path.startswith("/"):
        path = _without_dots(f"{base_path.rpartition('/')[0]}/{path}")
    return as_asked(f"{base.scheme}://{base.raw_authority}{path}" + ("" if query is None else f"?{query}"))


def _split(url: str) -> tuple[str | None, str | None, str, str | None]:
    """Scheme, authority, path and query, as they stand there; None for what is missing."""
    found = _PARTS.fullmatch(url)
    assert found is not None, "Each part may be missing."
    return found["scheme"], found["authority"], found["path"], found["query"]


def _encoded(text: str) -> str:
    return _MUST_BE_ENCODED.sub(_octets, text)


def _octets(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "surrogateescape"))


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4, for a path that begins with a slash."""
    kept: list[str] = []
    *folders, last = path.split("/")[1:]
    for segment in folders:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if last in (".", ".."):
        kept, last = kept[:-1] if last == ".." else kept, ""
    return "/" + "/".join([*kept, last])
