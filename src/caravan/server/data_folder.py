"""The data folder, and the database that a command works on: the one that is set, else the folder's own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from caravan.errors import NotFound
from caravan.server.leash import VARIABLE as LEASH
from caravan.settings import Settings, unknown_variables


@contextmanager
def database(settings: Settings, *, wait: bool = False, create: bool = False) -> Iterator[Settings]:
    """The settings with the URL of a database that runs: the given one, else the data folder's own.

    Raises `NotFound` if the folder has none, unless it is to be created.
    """
    warn_of_unknown_variables()
    if settings.database_url is not None:
        yield settings
        return
    if not create and not (settings.folder / "postgres" / "PG_VERSION").exists():
        raise NotFound(
            f"There is no database in the data folder {settings.folder}; `caravan up` makes one there. "
            "Another folder is named by --data or CARAVAN_DATA, another database by CARAVAN_DATABASE_URL."
        )
    from caravan.server.embedded import embedded

    with embedded(settings.folder, wait=wait) as url:
        yield settings.model_copy(update={"database_url": url})


def warn_of_unknown_variables() -> None:
    """Name each `CARAVAN_…` variable that means nothing, on stderr, with the one that it may be meant to be. Children
    of another command say nothing: that one has."""
    if LEASH in os.environ:
        return
    for sentence in unknown_variables(os.environ):
        print(f"caravan: {sentence}", file=sys.stderr)
