"""Units as people write them, and the exact factor to the UCUM unit of the quantity they belong to.

Only units that are a plain multiple: a temperature in degrees Fahrenheit has an offset, so that an instrument
which shows it must be set to degrees Celsius.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

UNITS: Mapping[str, tuple[str, Fraction]] = MappingProxyType(
    {
        # unit as written: (UCUM unit of the quantity, factor)
        "Wh": ("W.h", Fraction(1)),
        "kWh": ("W.h", Fraction(1000)),
        "MWh": ("W.h", Fraction(1000000)),
        "varh": ("V.A.h", Fraction(1)),
        "kvarh": ("V.A.h", Fraction(1000)),
        "kVAh": ("V.A.h", Fraction(1000)),
        "W": ("W", Fraction(1)),
        "kW": ("W", Fraction(1000)),
        "MW": ("W", Fraction(1000000)),
        "var": ("V.A", Fraction(1)),
        "kvar": ("V.A", Fraction(1000)),
        "VA": ("V.A", Fraction(1)),
        "kVA": ("V.A", Fraction(1000)),
        "V": ("V", Fraction(1)),
        "A": ("A", Fraction(1)),
        "Hz": ("Hz", Fraction(1)),
        "1": ("1", Fraction(1)),
        "%": ("1", Fraction(1, 100)),
        "%RH": ("%", Fraction(1)),
        "vol%": ("%", Fraction(1)),
        "degC": ("Cel", Fraction(1)),
        "K": ("K", Fraction(1)),
        "Pa": ("Pa", Fraction(1)),
        "mbar": ("Pa", Fraction(100)),
        "kPa": ("Pa", Fraction(1000)),
        "bar": ("Pa", Fraction(100000)),
        "MPa": ("Pa", Fraction(1000000)),
        "ppm": ("[ppm]", Fraction(1)),
        "ppb": ("[ppm]", Fraction(1, 1000)),
        "vol% as ppm": ("[ppm]", Fraction(10000)),
        "mg/m3": ("mg/m3", Fraction(1)),
        "ug/m3": ("mg/m3", Fraction(1, 1000)),
        "g/m3": ("mg/m3", Fraction(1000)),
        "m3": ("m3", Fraction(1)),
        "L": ("m3", Fraction(1, 1000)),
        "gal": ("m3", Fraction(3785411784, 10**12)),
        "ft3": ("m3", Fraction(28316846592, 10**12)),
        "m3/h": ("m3/h", Fraction(1)),
        "m3/min": ("m3/h", Fraction(60)),
        "m3/s": ("m3/h", Fraction(3600)),
        "L/h": ("m3/h", Fraction(1, 1000)),
        "L/min": ("m3/h", Fraction(60, 1000)),
        "L/s": ("m3/h", Fraction(3600, 1000)),
        "gal/min": ("m3/h", Fraction(60 * 3785411784, 10**12)),
        "g": ("kg", Fraction(1, 1000)),
        "kg": ("kg", Fraction(1)),
        "t": ("kg", Fraction(1000)),
        "kg/h": ("kg/h", Fraction(1)),
        "kg/min": ("kg/h", Fraction(60)),
        "kg/s": ("kg/h", Fraction(3600)),
        "t/h": ("kg/h", Fraction(1000)),
        "m/s": ("m/s", Fraction(1)),
        "ft/s": ("m/s", Fraction(3048, 10000)),
        "J": ("J", Fraction(1)),
        "kJ": ("J", Fraction(1000)),
        "MJ": ("J", Fraction(10**6)),
        "GJ": ("J", Fraction(10**9)),
        "kWh of heat": ("J", Fraction(3600000)),
    }
)
