"""Work that threads do side by side, and that comes back in its order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def crew(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Some threads; what they haven't begun when the block is left is never done, what they have is ended."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="intake")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_turn(
    pool: ThreadPoolExecutor, ahead: int, work: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[Result]:
    """The results in the order of the tasks, of which only a few are under way at any moment."""
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
