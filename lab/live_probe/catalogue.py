"""Every trial, in the order of the report."""

from typing import Final

from lab.live_probe.spellings import CONTROLS, SPELLINGS
from lab.live_probe.wildcards import WILDCARDS

TRIALS: Final = (*CONTROLS, *SPELLINGS, *WILDCARDS)
