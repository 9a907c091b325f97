"""With which secret delivery keys are signed, and reading them back.

The key of a delivery is the same at each attempt, also when the secret is rotated in between. So a batch keeps the
secret that was in force when it was made, and all secrets that ever were can be read.
"""

from caravan.delivery.key import DeliveryKey, KeyWriter, read_key
from caravan.store.cohorts import Cohort
from caravan.store.customers import signing_secrets
from caravan.store.database import Connection

SECRET = "delivery"  # its name among the secrets of the database


async def key_writer(connection: Connection, cohort: Cohort) -> KeyWriter:
    """What writes the keys of a cohort's deliveries at its step."""
    secrets = await signing_secrets(connection, SECRET)
    secret = next(each.value for each in secrets if each.since is None or each.since <= cohort.batch_created_at)
    return KeyWriter(cohort.batch, cohort.place, cohort.visit, secret.encode())


async def read_back(connection: Connection, text: str) -> DeliveryKey | None:
    """What a key that has come back leads to; None for what this installation never signed."""
    return read_key(text, [each.value.encode() for each in await signing_secrets(connection, SECRET)])
