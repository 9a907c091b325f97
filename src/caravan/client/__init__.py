"""The Python SDK: start batches on any server that speaks the protocol, and follow them on Caravan.

with Client("http://127.0.0.1:8080", 1001, "crv_…") as caravan:
    batch = caravan.start_file(4711, Path("contacts.ndjson"))
"""

from caravan.client.client import CallFailed, Client, Started, new_key

__all__ = ["CallFailed", "Client", "Started", "new_key"]
