"""The ATM90E32AS before it measures: options of a parameter set become the words of its configuration registers.

Options are rows [name, value, ...]; three values are those of phases A, B and C.

    max_power         W that all phases together can have; must be there (see atm90e32.py)
    meter_constant    imp/kWh of the chip's CF pulse, 3200 unless given
    mains_hz          50 or 60
    wiring            3p4w or 3p3w
    amplifier         1, 2 or 4: of the current inputs
    voltage_gain, current_gain, phase_angle      register words 0-65535, three each
    voltage_offset, current_offset, power_gain, active_offset, reactive_offset      -32768-32767, three each
    start_threshold, phase_threshold             register words for active, reactive and apparent power

The gains fix what the voltages and currents are those of: with the transformers' ratios calibrated into them the
indications are primary, without they are secondary and the channel's ratio is CT x VT. What a calibration gives
(Microchip AN46103) is written as it is. What is not given is 8000H (gains), 1D4CH and 02EEH (thresholds) or 0.

Where this is known from: atm90e32.py.
"""

from meter_sampling.drivers.settings import is_int, refuse_unless, settings
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rows = list[list[Any]]
    Words = list[tuple[int, int]]

METER_EN = 0x00
PL_CONST_H = 0x31
PL_CONST_L = 0x32
M_MODE_0 = 0x33
M_MODE_1 = 0x34

PL_CONSTANT_DIVIDEND = 450000000000
FREQ_60_HZ = 1 << 12
WIRING = {"3p4w": 0x0087, "3p3w": 0x0185}
AMPLIFIER = {1: 0x00, 2: 0x15, 4: 0x2A}

UNSIGNED = (0, 0xFFFF)
SIGNED = (-0x8000, 0x7FFF)

WORDS = (
    # option, registers, range, value unless given
    ("start_threshold", (0x35, 0x36, 0x37), UNSIGNED, 0x1D4C),
    ("phase_threshold", (0x38, 0x39, 0x3A), UNSIGNED, 0x02EE),
    ("active_offset", (0x41, 0x43, 0x45), SIGNED, 0),
    ("reactive_offset", (0x42, 0x44, 0x46), SIGNED, 0),
    ("power_gain", (0x47, 0x49, 0x4B), SIGNED, 0),
    ("phase_angle", (0x48, 0x4A, 0x4C), UNSIGNED, 0),
    ("voltage_gain", (0x61, 0x65, 0x69), UNSIGNED, 0x8000),
    ("current_gain", (0x62, 0x66, 0x6A), UNSIGNED, 0x8000),
    ("voltage_offset", (0x63, 0x67, 0x6B), SIGNED, 0),
    ("current_offset", (0x64, 0x68, 0x6C), SIGNED, 0),
)

FINEST_EXPONENT = -9


def _named(options: "Rows | None") -> "dict[str, list[Any]]":
    known = ("max_power", "meter_constant", "mains_hz", "wiring", "amplifier") + tuple([word[0] for word in WORDS])
    found = settings(options, known)
    return {name: found[name][0] for name in known if found[name]}


def _one(named: "dict[str, list[Any]]", name: str, default: "Any") -> "Any":
    values = named.get(name, [default])
    refuse_unless(len(values) == 1)
    return values[0]


def _number(value: "Any", lowest: int, highest: int) -> int:
    refuse_unless(is_int(value, lowest, highest))
    return int(value)


class Setup:
    """`words`: (register, word) in the order of writing. One count of an energy register, 0.01 CF, is `weight`
    units of 10^`exponent` W.h, exactly.
    """

    def __init__(self, options: "Rows | None") -> None:
        named = _named(options)
        self.max_power_w = _number(_one(named, "max_power", None), 1, 10**9)
        self.meter_constant = _number(_one(named, "meter_constant", 3200), 1, 10**6)
        self.exponent, self.weight = _weight(self.meter_constant)
        self.words = [(METER_EN, 1)] + _mode(named, self.meter_constant)
        for name, registers, (lowest, highest), default in WORDS:
            values = named.get(name, [default] * 3)
            refuse_unless(len(values) == 3)
            for register, value in zip(registers, values):
                self.words.append((register, _number(value, lowest, highest) & 0xFFFF))


def pl_constant(meter_constant: int) -> int:
    """PL_Constant = 450,000,000,000 / MC (AN46103); it must be whole and fit its two registers."""
    quotient, rest = divmod(PL_CONSTANT_DIVIDEND, meter_constant)
    refuse_unless(not rest and quotient <= 0xFFFFFFFF)
    return quotient


def _weight(meter_constant: int) -> "tuple[int, int]":
    """0.01 CF is 10 / MC W.h."""
    for exponent in range(0, FINEST_EXPONENT - 1, -1):
        weight, rest = divmod(10 ** (1 - exponent), meter_constant)
        if not rest:
            return exponent, weight
    raise InstrumentError("options")


def _mode(named: "dict[str, list[Any]]", meter_constant: int) -> "Words":
    constant = pl_constant(meter_constant)
    mains_hz = _one(named, "mains_hz", 50)
    wiring = _one(named, "wiring", "3p4w")
    amplifier = _one(named, "amplifier", 1)
    refuse_unless(mains_hz in (50, 60) and wiring in WIRING and amplifier in AMPLIFIER)
    return [
        (PL_CONST_H, constant >> 16),
        (PL_CONST_L, constant & 0xFFFF),
        (M_MODE_0, WIRING[wiring] | (FREQ_60_HZ if mains_hz == 60 else 0)),
        (M_MODE_1, AMPLIFIER[amplifier]),
    ]
