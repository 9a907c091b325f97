"""After a crash: what dead processes had in hand goes on elsewhere, what they left half-written is removed."""

import logging
import shutil
from pathlib import Path

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

HEARTBEAT = 5.0  # seconds between two signs of life of a worker
STALLED_AFTER = 20.0  # seconds without one after which its jobs go to others
_log = logging.getLogger(__name__)


def queue_app() -> App:
    """A Procrastinate app whose connector takes the pool that `open_async` is given."""
    return App(connector=PsycopgConnector())


async def recover(app: App, seconds: float) -> int:
    """Put the jobs of workers that gave no sign of life for `seconds` back into their queues; how many."""
    count = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds):
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException:  # its twin waits in the queue already, and serves as well
            await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
        count += 1
        _log.warning("The worker of %s is gone; the job goes on elsewhere", job.call_string)
    return count


def clear_folder(folder: Path) -> None:
    """Remove files half-written by a killed process. Only while no other process works on this data folder."""
    for name in ("scratch", "uploads"):
        shutil.rmtree(folder / name, ignore_errors=True)
