"""Quantity codes (SPEC §12): what a channel measures, its unit, and its OBIS code where one exists.

A reading's value is mantissa x 10^exponent in the unit given here; exponent and ratio come from the sealed
parameter set. Units are named twice: UCUM for people and health-grade software, D-SI for certificates.
UCUM has no var, so reactive quantities carry V.A, of which var is the special name. OBIS codes are those of
IEC 62056-6-1 for the sum of all phases; lagging and leading are the quadrants QI and QIV of an importing
load (5.8.0 and 8.8.0).
"""

ROWS = (
    (1, "active_energy_import", "W.h", "\\watt\\hour", "1-0:1.8.0"),
    (2, "active_energy_export", "W.h", "\\watt\\hour", "1-0:2.8.0"),
    (3, "reactive_energy_lagging", "V.A.h", "\\volt\\ampere\\hour", "1-0:5.8.0"),
    (4, "reactive_energy_leading", "V.A.h", "\\volt\\ampere\\hour", "1-0:8.8.0"),
    (5, "apparent_energy", "V.A.h", "\\volt\\ampere\\hour", "1-0:9.8.0"),
    (10, "active_power", "W", "\\watt", "1-0:16.7.0"),
    (11, "reactive_power", "V.A", "\\volt\\ampere", "1-0:131.7.0"),
    (12, "apparent_power", "V.A", "\\volt\\ampere", "1-0:9.7.0"),
    (13, "voltage", "V", "\\volt", "1-0:12.7.0"),
    (14, "current", "A", "\\ampere", "1-0:11.7.0"),
    (15, "power_factor", "1", "\\one", "1-0:13.7.0"),
    (16, "frequency", "Hz", "\\hertz", "1-0:14.7.0"),
    (17, "power_factor_lagging", "1", "\\one", None),
    (18, "power_factor_leading", "1", "\\one", None),
    (20, "volume", "m3", "\\metre\\tothe{3}", None),
    (21, "volume_flow", "m3/h", "\\metre\\tothe{3}\\hour\\tothe{-1}", None),
    (22, "mass", "kg", "\\kilogram", None),
    (23, "mass_flow", "kg/h", "\\kilogram\\hour\\tothe{-1}", None),
    (24, "velocity", "m/s", "\\metre\\second\\tothe{-1}", None),
    (25, "heat", "J", "\\joule", None),
    (26, "thermal_power", "W", "\\watt", None),
    (27, "reference_volume", "m3", "\\metre\\tothe{3}", None),
    (28, "reference_volume_flow", "m3/h", "\\metre\\tothe{3}\\hour\\tothe{-1}", None),
    (30, "temperature", "Cel", "\\degreecelsius", None),
    (31, "absolute_pressure", "Pa", "\\pascal", None),
    (32, "differential_pressure", "Pa", "\\pascal", None),
    (33, "relative_humidity", "%", "\\percent", None),
    (34, "temperature_difference", "K", "\\kelvin", None),
    (40, "co2_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (41, "o2_fraction", "%", "\\percent", None),
    (42, "ch4_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (43, "n2o_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (44, "co_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (45, "hcn_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (46, "hcho_fraction", "[ppm]", "\\micro\\mole\\mole\\tothe{-1}", None),
    (50, "co2_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (51, "co_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (52, "nox_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (53, "ch4_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (54, "n2o_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (55, "hcn_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
    (56, "hcho_concentration", "mg/m3", "\\milli\\gram\\metre\\tothe{-3}", None),
)
"""Code, name, UCUM, D-SI, OBIS. Constants alone: frozen, it lies in a board's flash and takes no heap."""


def code_of(name: str) -> "int | None":
    for row in ROWS:
        if row[1] == name:
            return row[0]
    return None
