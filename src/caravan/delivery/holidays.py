"""Public holidays of a country or a part of one, by the library `holidays`.

Importing it takes 0.1 s and 15 MB, so that only a process that asks for holidays does.
"""

from datetime import date
from functools import lru_cache

from caravan.journeys.wording import nearest


def check_country(code: str) -> str:
    """`SE`, or `DE-BY` for a part of a country (ISO 3166-1 and 3166-2). Raises ValueError for what is no such code."""
    from holidays import list_supported_countries

    known = list_supported_countries(include_aliases=False)
    country, _, part = code.strip().upper().partition("-")
    if country not in known:
        close = nearest(country, known) if country.isascii() and len(country) < 8 else None
        hint = f"; did you mean '{close}'?" if close else "."
        raise ValueError(
            f"'{code[:40]}' is no country whose public holidays are known{hint} Write its code, like SE, or DE-BY for "
            "a part of one"
        )
    parts = [each for each in known[country] if each.isupper() or each.isdigit()]
    if part and part not in parts:
        there = f"there are {', '.join(parts)}" if parts else "it has none"
        raise ValueError(f"'{part[:40]}' is no part of {country} with holidays of its own; {there}")
    return f"{country}-{part}" if part else country


@lru_cache(maxsize=1_024)
def holiday(code: str, day: date) -> str | None:
    """The name of the public holiday that a day is by a code that `check_country` gave; None if it is none."""
    name = _of_year(code, day.year).get(day)
    return None if name is None else str(name)


@lru_cache(maxsize=256)
def _of_year(code: str, year: int) -> dict[date, str]:
    from holidays import country_holidays

    country, _, part = code.partition("-")
    return dict(country_holidays(country, subdiv=part or None, years=year, language="en_US"))
