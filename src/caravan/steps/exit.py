"""Exit: the journey ends here."""

from collections.abc import Iterator
from typing import ClassVar

from caravan.journeys.model import Step


class Exit(Step):
    """`exit: {}`."""

    kind: ClassVar[str] = "exit"

    def check(self) -> Iterator[tuple[str, str]]:
        if self.next is not None:
            yield "next", "an exit leads nowhere, so it has no next"
