"""Numbers that come from a norm or a handbook, each with how well its source is known.

`tag` is S: read in the named source; C: computed here from a stated formula; M: from memory and not confirmed. An
M value is a default that its user replaces once he has the norm, and never a legal limit. Every function that
uses one of these takes it as an argument.
"""

from typing import Literal, NamedTuple


class Sourced(NamedTuple):
    value: float
    tag: Literal["S", "C", "M"]
    source: str


MAX_UNCERTAINTY_TO_MPE = Sourced(1 / 3, "S", "JCGM 106:2012, 8.2.3")
"""U (k = 2) may be at most this part of the MPE for simple acceptance."""

GUARD_MULTIPLIER = Sourced(1.0, "S", "JCGM 106:2012, 8.3.2.3; ISO 14253-1")
"""r of w = r·U."""

EN_LIMIT = Sourced(1.0, "M", "ISO 13528; ISO/IEC 17043")

RP10_OFFSET = Sourced(1.25, "S", "NCSLI RP-10, by suncal's tests")
DOBBERT_OFFSET = Sourced(1.04, "S", "Dobbert, by suncal's tests")
DOBBERT_SLOPE = Sourced(0.38, "S", "Dobbert, by suncal's tests")
DOBBERT_SHIFT = Sourced(0.54, "S", "Dobbert, by suncal's tests")

RATA_MIN_RUNS = Sourced(9, "M", "40 CFR 75 App. A 6.5; 40 CFR 60 PS-2")
RATA_CONFIDENCE = Sourced(0.975, "M", "40 CFR 75 App. A eq. A-9; 40 CFR 60 PS-2 eq. 2-4")
RATA_LIMIT_PERCENT = Sourced(10.0, "S", "40 CFR 75 App. A 3.3, by a third party's copy")

QAL2_MIN_PAIRS = Sourced(15, "S", "EN 14181")
QAL2_COVERAGE = Sourced(1.96, "M", "EN 14181: σ0 = P·E/1.96")
QAL2_SPREAD = Sourced(0.15, "M", "EN 14181: method a from 15 % of the emission limit value on")
AST_MIN_PAIRS = Sourced(5, "M", "EN 14181")
AST_CONFIDENCE = Sourced(0.95, "M", "EN 14181")
AST_VARIABILITY = Sourced(1.5, "M", "EN 14181: s_D <= 1.5·σ0·kv")
QAL3_HX = Sourced(2.85, "S", "EN 14181, by ABB EL3000 manual p. 160")
QAL3_KX = Sourced(0.501, "S", "EN 14181, by ABB EL3000 manual p. 160")
QAL3_HS = Sourced(6.90, "S", "EN 14181, by ABB EL3000 manual p. 160")
QAL3_KS = Sourced(1.85, "S", "EN 14181, by ABB EL3000 manual p. 160")

EWMA_LAMBDA = Sourced(0.3, "M", "NIST/SEMATECH e-Handbook 6.3.2.4")
CONTROL_LIMIT_SIGMAS = Sourced(3.0, "M", "NIST/SEMATECH e-Handbook 6.3.2")
MOVING_RANGE_D2 = Sourced(1.128, "M", "NIST/SEMATECH e-Handbook 6.3.2.2, d2 of two values")

STAIRCASE_EXTEND_WITHIN = Sourced(0.8, "M", "ILAC-G24 / OIML D 10:2022, method 1")
STAIRCASE_LONGER = Sourced(1.25, "M", "house default")
STAIRCASE_SHORTER = Sourced(0.75, "M", "house default")
A3_MAX_CHANGE = Sourced(2.0, "S", "NCSLI RP-1 method A3, by suncal's tests")
A3_CONFIDENCE = Sourced(0.5, "S", "NCSLI RP-1 method A3, by suncal's tests")
