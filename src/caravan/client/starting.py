"""The part of `Client` that starts batches and enters contacts."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from caravan.client.answers import Commenced, Started, Uploaded
from caravan.client.retries import RetryPolicy, Sleep
from caravan.client.rows import Row, RowProgress, Rows, is_table, ndjson, rows_of_table
from caravan.client.transport import CallFailed, Transport, content, insist, new_key

_PIECE = 1 << 20
_NO_LENGTH = (411, 501)  # of stores that take no upload of a length that is not known
Progress = Callable[[int, int], None]  # bytes sent, bytes in all
Source = str | os.PathLike[str] | Iterable[Row] | Callable[[], Iterable[Row]]


class Starting:
    """Uploads, downloads and single starts."""

    _transport: Transport
    _timeout: float
    _patience: float
    _sleep: Sleep

    def open_upload(
        self,
        journey: int,
        *,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
    ) -> Started:
        """Start a batch whose file will be uploaded. With `hold` it is read whole, and no contact moves until it is
        resumed. From `expires` on, a moment like 2026-12-01T00:00:00Z or a duration like 2 days, nothing is sent."""
        options = {"freezeWaits": freeze_waits, "hold": hold, "expires": expires}
        answer = self._trigger({"entityId": journey}, key, **options)
        return Started(str(answer.get("batchId", "")), str(answer["uploadUrl"]))

    def start_url(
        self,
        journey: int,
        download_url: str,
        *,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
    ) -> Started:
        """Start a batch whose file the server fetches. With a `key` nothing starts twice within 24 hours, also when
        this is called again, on a server that knows such keys; without one, a call that may have arrived is not
        repeated."""
        body = {"entityId": journey, "downloadUrl": download_url}
        sent = key if key is not None else new_key()
        options = {"freezeWaits": freeze_waits, "hold": hold, "expires": expires}
        answer = insist(lambda: self._trigger(body, sent, **options), self._retries(), again=key is not None)
        return Started(str(answer.get("batchId", "")))

    def upload(self, upload_url: str, file: Path, progress: Progress | None = None) -> Uploaded:
        """PUT a file; .gz and .zst are sent as what they are."""
        encoding = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix)
        headers = {"Content-Length": str(file.stat().st_size)}
        if encoding:
            headers["Content-Encoding"] = encoding
        return self._put(upload_url, pieces_of(file, progress), headers)

    def _put(self, upload_url: str, pieces: Iterator[bytes], headers: dict[str, str]) -> Uploaded:
        timeout = httpx.Timeout(self._timeout, read=None)  # what is large takes long to be stored
        answer = self._transport.put(upload_url, pieces, {"Content-Type": "text/plain", **headers}, timeout)
        found: dict[str, Any] = content(answer) if answer.content or not answer.is_success else {}
        return Uploaded(found.get("bytes"), found.get("sha256"))

    def start_file(
        self,
        journey: int,
        file: Path,
        progress: Progress | None = None,
        *,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
        opened: Callable[[Started], None] | None = None,
    ) -> Started:
        """Start a batch with a file of this machine; `opened` is told the batch before the file is sent.

        Nothing starts twice, also when this is called again with the same file and `key` (made if there is none) while
        the `uploadUrl` is valid, which is 12 hours."""
        key = key if key is not None else new_key()
        started = insist(
            lambda: self.open_upload(journey, key=key, freeze_waits=freeze_waits, hold=hold, expires=expires),
            self._retries(),
        )
        if opened:
            opened(started)
        insist(lambda: self.upload(str(started.upload_url), file, progress), self._retries())
        return started

    def start_batch(
        self,
        journey: int,
        source: Source,
        *,
        id_column: str | None = None,
        progress: RowProgress | None = None,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
        opened: Callable[[Started], None] | None = None,
    ) -> Started:
        """Start a batch with whatever contacts come from, without a file in between.

        `source` is a path to a file of contacts, a CSV or a Parquet file; a URL that the server fetches; or rows: an
        iterable of dicts, or a function that gives one. A row is `{"id": …, "properties": {…}}` or, with `id_column`,
        a flat dict whose other members are the properties, as those of tables are (there it is `id` by default). CSV
        is UTF-8 with the names of its columns in the first line; all values are texts, and empty ones are left out.
        `progress` is told the rows and bytes sent so far, of rows and tables.

        An upload that breaks off is repeated, but for an iterator, which can be read once. Raises `InvalidInput` for
        a row that can't be sent, with its number from 1; then nothing starts."""
        options: dict[str, Any] = {"key": key, "freeze_waits": freeze_waits, "hold": hold, "expires": expires}
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            return self.start_url(journey, source, **options)
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            if not is_table(path):
                return self.start_file(journey, path, opened=opened, **options)
            source, id_column = rows_of_table(path), id_column or "id"
        return self._start_rows(journey, Rows(source, id_column, progress), opened, **options)

    def _start_rows(
        self, journey: int, rows: Rows, opened: Callable[[Started], None] | None, *, key: str | None, **options: Any
    ) -> Started:
        key = key if key is not None else new_key()
        started = insist(lambda: self.open_upload(journey, key=key, **options), self._retries())
        if opened:
            opened(started)
        url = str(started.upload_url)
        try:
            insist(lambda: self._put(url, ndjson(rows), {}), self._retries(), again=rows.again)
        except CallFailed as failed:
            if failed.status in _NO_LENGTH:
                raise CallFailed(
                    "The files of this server are uploaded to a store that takes none whose length is not known "
                    "before; write the rows to a file, and start that.",
                    failed.status,
                ) from failed
            if failed.passes and not rows.again:
                sentence = f"{failed.message.rstrip('.')}; the rows came from an iterator, which can't be read again."
                raise CallFailed(sentence, failed.status) from failed
            raise
        return started

    def commence(
        self, journey: int, contact: str, properties: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> Commenced:
        """Enter a single contact."""
        body = {"id": contact, "properties": properties or {}}
        found = self._transport.call("POST", f"journeys/{journey}/commence", key, json=body)
        return Commenced(found["contactId"], found["batchId"])

    def _trigger(self, body: dict[str, Any], key: str | None, **options: object) -> dict[str, Any]:
        body = {**body, **chosen(options)}
        found: dict[str, Any] = self._transport.call("POST", "batchtrigger/v2", key, json=body)
        return found

    def _retries(self) -> RetryPolicy:
        return RetryPolicy(self._patience, self._sleep)


def chosen(options: Mapping[str, object]) -> dict[str, Any]:
    """The member `options` of a call, with those that are set."""
    wanted = {name: value for name, value in options.items() if value}
    return {"options": wanted} if wanted else {}


def pieces_of(file: Path, progress: Progress | None) -> Iterator[bytes]:
    """A file as it is sent."""
    sent, total = 0, file.stat().st_size
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece
            sent += len(piece)
            if progress:
                progress(sent, total)
