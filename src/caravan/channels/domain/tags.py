"""Lists of tags, like `v=DKIM1; k=rsa; p=…` (RFC 6376 §3.2), which DKIM and DMARC have in common."""


def tags_of(text: str) -> dict[str, str]:
    """The tags with their values, in their order; names in lower case. Raises `ValueError` for what is no such list."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, sign, value = part.partition("=")
        name = name.strip().lower()
        if not sign or not name.isidentifier() or name in found:
            raise ValueError(part.strip())
        found[name] = value.strip()
    return found
