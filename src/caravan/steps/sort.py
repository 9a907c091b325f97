"""Steps that send the contacts of a cohort different ways at once: split and A/B."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caravan.steps.cohort_files import write_part
from caravan.steps.move import Move, Passage, Tools
from caravan.store.cohorts import Cohort, Part, read_contacts
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

Arms = npt.NDArray[np.int64]
END = "the end"  # the journal's word for contacts that no branch takes


def sort(cohort: Cohort, tools: Tools, targets: Sequence[str | None], choose: Callable[[pa.Table], Arms]) -> Move:
    """The move that `choose` makes: it gives the index of a target for each contact. Blocks."""
    with tools.files.local(cohort.part.file) as path:
        contacts = read_contacts(path)
    parts = _parts(tools, cohort, contacts, choose(contacts), len(targets))
    going = [(part, to) for part, to in zip(parts, targets, strict=True) if part is not None]
    return Move(
        passages=[Passage(part, to) for part, to in going],
        outcomes={Outcome.PASSED: cohort.part.size},
        records=[Record(cohort.step, part.file, Outcome.PASSED, to or END) for part, to in going],
    )


def _parts(tools: Tools, cohort: Cohort, contacts: pa.Table, arms: Arms, count: int) -> list[Part | None]:
    """One part for each arm, None where no contact takes it. A cohort that goes one way as a whole keeps its file."""
    sizes = np.bincount(arms, minlength=count)
    if sizes.max() == cohort.part.size:
        return [cohort.part if size else None for size in sizes]
    with Draft(tools.files) as draft:
        return [
            write_part(tools, draft, cohort, contacts.filter(pa.array(arms == arm)), str(arm)) if size else None
            for arm, size in enumerate(sizes)
        ]
