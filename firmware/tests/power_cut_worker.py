"""One process's share of a scenario's power cuts, on MicroPython.

Arguments: SCENARIO single PART PARTS [SAMPLE], or SCENARIO double COUNT SEED, or SCENARIO event CODE.
"""

import sys

from app_scenario import AppScenario
from journal_scenario import BOARD, SMALL
from power_cuts import cut_after_event, cut_doubly, cut_singly

SCENARIOS = {"journal_small": SMALL, "journal_board": BOARD, "app": AppScenario()}


def main(name, what, *numbers):
    scenario = SCENARIOS[name]
    first, *others = [int(number) for number in numbers]
    if what == "single":
        parts, *sample = others
        cut_singly(scenario, sample[0] if sample else None, first, parts)
    elif what == "double":
        cut_doubly(scenario, first, others[0])
    else:
        cut_after_event(scenario, first)


main(*sys.argv[1:])
