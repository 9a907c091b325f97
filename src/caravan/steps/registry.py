"""The step types that send nothing. With those of the channels they are all that a journey file can name
(channels/registry.py)."""

from caravan.steps.ab import AB
from caravan.steps.exit import Exit
from caravan.steps.journey import EnterJourney
from caravan.steps.set import Set
from caravan.steps.split import Split
from caravan.steps.step import CohortStep
from caravan.steps.wait import Wait
from caravan.steps.wait_for import WaitFor

STEPS: tuple[type[CohortStep], ...] = (Wait, WaitFor, Split, AB, Set, EnterJourney, Exit)
