"""`channels cap`: how many messages a recipient gets on a channel."""

from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import Data, record, with_engine
from caravan.errors import InvalidInput, NotFound
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine


def cap(
    channel: Annotated[str, typer.Argument(help="The channel: email …")],
    limit: Annotated[str, typer.Argument(help="Like '3 per 7 days', or off.")],
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    otherwise: Annotated[
        str, typer.Option(help="What is over the cap: skip (it is left out) or wait (it stands until there is room).")
    ] = "skip",
    data: Data = None,
) -> None:
    """Set how many messages a recipient of a customer gets on a channel in any period of that length, transactional
    ones aside. What is sent from now on counts; the cap holds within a second.

    Example: caravan channels cap email "3 per 7 days" --customer 1001
    """
    from caravan.engine.caps import read_cap, set_cap
    from caravan.store.customers import has_customer

    if otherwise not in ("skip", "wait"):
        raise InvalidInput(f"--otherwise is skip or wait, not {otherwise!r}.")
    wanted = None if limit.strip().lower() == "off" else read_cap(limit, waits=otherwise == "wait")
    detail = None if wanted is None else {"cap": limit.strip(), "otherwise": otherwise}

    async def work(engine: "Engine") -> None:
        async with engine.pool.connection() as connection, connection.transaction():
            if not await has_customer(connection, customer):
                raise NotFound(f"There is no customer {customer}; `caravan customers list` shows all.")
            await set_cap(engine, connection, customer, channel, wanted)
            await record(connection, customer, "cap", f"channel {channel}", detail)

    with_engine(read_settings(data=data), work)
