"""When a job whose work failed is done again."""

import logging
from datetime import timedelta

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from caravan.backoff import Backoff
from caravan.errors import NotFound
from caravan.queue import transient

_BACKOFF = Backoff(first=1.0, factor=2.0, longest=15.0)  # once the cause is gone, work goes on within 15 seconds
_log = logging.getLogger(__name__)


class RetryPolicy(BaseRetryStrategy):
    """Retry with backoff. Transient errors are retried for ever; permanent ones some more times than it takes to be
    noted as stuck."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, NotFound):  # what was removed with its customer is not tried again
            _log.info("%s has nothing to do any more: %s", job.call_string, exception.message)
            return None
        around = transient.is_transient(exception)
        if not around and job.attempts > 2 * transient.SAME_FAILURES:
            return None
        delay = _BACKOFF.delay(job.attempts + 1)
        # All of it; what the batch shows is less (transient.py: describe).
        what = job.call_string, delay, type(exception).__name__, " ".join(str(exception).split())
        _log.warning("%s is tried again in %.0f s: %s: %s", *what, exc_info=None if around else exception)
        return RetryDecision(retry_at=utcnow() + timedelta(seconds=delay))
