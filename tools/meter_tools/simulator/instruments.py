"""What each kind of instrument holds: indications (scaled integers) become register words.

Written from the makers' register maps (docs/register-maps.md), independently of the firmware's drivers; a
test runs the two against each other. Values are integers in units of 10^exponent of the quantity's unit. A
register wraps at its modulus. What an instrument has no value for is what the real one would show.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

HOLDING = 3
INPUT = 4

Values = Mapping[str, int | None]
Words = dict[tuple[int, int], int]
"""Register word by (Modbus function, address)."""


@dataclass(frozen=True)
class Indication:
    quantity: str
    exponent: int
    modulus: int | None = None


@dataclass(frozen=True)
class Identity:
    """Of the simulated specimen; `serial` is hexadecimal or decimal where the instrument's own is."""

    unit: int
    serial: str


@dataclass(frozen=True)
class Kind:
    name: str
    indications: Mapping[str, Indication]
    encode: Callable[[Values, Identity], Words]

    def words(self, values: Values, identity: Identity) -> Words:
        shown = wrapped(self.name, self.indications, values)
        return self.encode({**dict.fromkeys(self.indications), **shown}, identity)


def wrapped(kind: str, indications: Mapping[str, Indication], values: Values) -> Values:
    """What registers show of these values: each within its modulus."""
    unknown = set(values) - set(indications)
    if unknown:
        raise ValueError(f"{kind} has no indication {sorted(unknown)}; it has {sorted(indications)}")
    return {
        name: value if value is None or (modulus := indications[name].modulus) is None else value % modulus
        for name, value in values.items()
    }


def coarse(value: int, steps: int) -> int:
    """In units of so many steps, the rest dropped, towards zero."""
    return value // steps if value >= 0 else -(-value // steps)


def put(words: Words, function: int, address: int, value: int, count: int, low_first: bool = False) -> None:
    """Two's complement over `count` registers; OverflowError if it does not fit."""
    size = 2 * count
    content = value.to_bytes(size, "big", signed=value < 0)
    parts = [int.from_bytes(content[i : i + 2], "big") for i in range(0, size, 2)]
    for offset, word in enumerate(reversed(parts) if low_first else parts):
        words[function, address + offset] = word


def put_text(words: Words, function: int, address: int, text: str, count: int) -> None:
    content = text.encode("ascii").ljust(2 * count, b"\0")
    if len(content) != 2 * count:
        raise ValueError(f"{text!r} is longer than {2 * count} characters")
    put(words, function, address, int.from_bytes(content, "big"), count)


ALL_ONES = {1: 0xFFFF, 2: 0xFFFFFFFF, 4: 0xFFFFFFFFFFFFFFFF}
LOWEST_I32 = -0x80000000

_ENERGY64_REGISTERS = (
    # indication, address, registers, what it shows without a value
    ("active_energy_import", 0, 4, ALL_ONES[4]),
    ("reactive_energy_lagging", 4, 4, ALL_ONES[4]),
    ("reactive_energy_leading", 8, 4, ALL_ONES[4]),
    ("active_power", 12, 2, LOWEST_I32),
    ("reactive_power", 14, 2, LOWEST_I32),
    ("power_factor_lagging", 16, 1, ALL_ONES[1]),
    ("power_factor_leading", 17, 1, ALL_ONES[1]),
    ("voltage", 18, 2, ALL_ONES[2]),
    ("current", 20, 2, ALL_ONES[2]),
    ("frequency", 22, 1, ALL_ONES[1]),
)


def _encode_energy64(values: Values, identity: Identity) -> Words:
    words: Words = {}
    for name, address, count, absent in _ENERGY64_REGISTERS:
        value = values[name]
        put(words, HOLDING, address, absent if value is None else value, count)
    put_text(words, HOLDING, 0x0100, "carbonmeter", 8)
    put_text(words, HOLDING, 0x0108, "energy64-sim", 8)
    put_text(words, HOLDING, 0x0110, identity.serial, 8)
    put(words, HOLDING, 0x0118, 1, 1)
    return words


def _encode_pzem004t(values: Values, identity: Identity) -> Words:
    words: Words = {}
    registers = (
        ("voltage", 0, 1),
        ("current", 1, 2),
        ("active_power", 3, 2),
        ("active_energy_import", 5, 2),
        ("frequency", 7, 1),
        ("power_factor", 8, 1),
    )
    for name, address, count in registers:
        value = values[name]
        put(words, INPUT, address, ALL_ONES[count] if value is None else value, count, low_first=True)
    put(words, INPUT, 9, 0, 1)
    put(words, HOLDING, 1, 23000, 1)
    put(words, HOLDING, 2, identity.unit, 1)
    return words


def _encode_senseair_s8(values: Values, identity: Identity) -> Words:
    words: Words = {}
    fraction = values["co2_fraction"]
    put(words, INPUT, 0, 1 if fraction is None else 0, 1)
    put(words, INPUT, 1, 0, 1)
    put(words, INPUT, 2, 0, 1)
    put(words, INPUT, 3, fraction or 0, 1)
    put(words, INPUT, 25, 0x000E01, 2)
    put(words, INPUT, 27, 9, 1)
    put(words, INPUT, 28, 0x0187, 1)
    put(words, INPUT, 29, int(identity.serial, 16), 2)
    return words


def real4(value: float) -> int:
    (bits,) = struct.unpack(">I", struct.pack(">f", value))
    return int(bits)


NOT_A_NUMBER = 0x7FC00000


def _encode_tuf2000(values: Values, identity: Identity) -> Words:
    """Flow in m3/h; the total as whole cubic metres and a fraction, multiplier 3 (times 1)."""
    words: Words = {(HOLDING, address): 0 for address in range(12)}
    flow_l_h, volume_l = values["volume_flow"], values["volume"]
    put(words, HOLDING, 0, NOT_A_NUMBER if flow_l_h is None else real4(flow_l_h / 1000), 2, low_first=True)
    whole, rest_l = divmod(volume_l or 0, 1000)
    fraction = NOT_A_NUMBER if volume_l is None else real4(rest_l / 1000)
    put(words, HOLDING, 8, whole, 2, low_first=True)
    put(words, HOLDING, 10, fraction, 2, low_first=True)
    put(words, HOLDING, 71, 0, 1)
    put(words, HOLDING, 91, 0x5263, 1)
    put(words, HOLDING, 1437, 0, 1)
    put(words, HOLDING, 1438, 3, 1)
    put(words, HOLDING, 1528, int(identity.serial, 16), 2)
    return words


_SDM630_SINGLES = (
    # indication, address, quantity, exponent, what one of the register is in units of 10^exponent
    *((f"voltage_l{n}", 2 * n - 2, "voltage", -2, 100) for n in (1, 2, 3)),
    *((f"current_l{n}", 2 * n + 4, "current", -3, 1000) for n in (1, 2, 3)),
    *((f"active_power_l{n}", 2 * n + 10, "active_power", -1, 10) for n in (1, 2, 3)),
    *((f"apparent_power_l{n}", 2 * n + 16, "apparent_power", -1, 10) for n in (1, 2, 3)),
    *((f"reactive_power_l{n}", 2 * n + 22, "reactive_power", -1, 10) for n in (1, 2, 3)),
    *((f"power_factor_l{n}", 2 * n + 28, "power_factor", -4, 10_000) for n in (1, 2, 3)),
    ("current_sum", 48, "current", -3, 1000),
    ("active_power", 52, "active_power", -1, 10),
    ("apparent_power", 56, "apparent_power", -1, 10),
    ("reactive_power", 60, "reactive_power", -1, 10),
    ("power_factor", 62, "power_factor", -4, 10_000),
    ("frequency", 70, "frequency", -2, 100),
    ("active_energy_import", 72, "active_energy_import", 0, 1000),
    ("active_energy_export", 74, "active_energy_export", 0, 1000),
    ("reactive_energy_lagging", 76, "reactive_energy_lagging", 0, 1000),
    ("reactive_energy_leading", 78, "reactive_energy_leading", 0, 1000),
)

WITHOUT_SERIAL = "none"


def _encode_sdm630(values: Values, identity: Identity) -> Words:
    """Three phases, four wires. Without a serial number it is one of the older firmware: no FC00 registers."""
    words: Words = {(INPUT, address): 0 for address in range(0x50)}
    for name, address, _, _, steps in _SDM630_SINGLES:
        value = values[name]
        put(words, INPUT, address, NOT_A_NUMBER if value is None else real4(value / steps), 2)
    put(words, HOLDING, 0x000A, real4(3), 2)
    put(words, HOLDING, 0x0014, real4(identity.unit), 2)
    if identity.serial != WITHOUT_SERIAL:
        put(words, HOLDING, 0xFC00, int(identity.serial), 2)
        put(words, HOLDING, 0xFC02, 0x0070, 1)
    return words


def _encode_djsf1352(values: Values, _: Identity) -> Words:
    """Sixteen bits a value: the decimal point moves as far as they need, and the last digits are cut off."""
    words: Words = {(HOLDING, address): 0 for address in range(20)}
    shown = {"voltage": 0, "current": 2, "active_power": 8}
    for name, address in shown.items():
        value, point = values[name] or 0, 0
        while not -0x8000 <= value <= 0x7FFF:
            value, point = coarse(value, 10), point + 1
        put(words, HOLDING, address, value, 1)
        put(words, HOLDING, address + 1, point, 1)
    put(words, HOLDING, 4, int(any(values[name] is None for name in shown)), 1)
    put(words, HOLDING, 5, 253, 1)
    put(words, HOLDING, 12, values["active_energy_import"] or 0, 2)
    put(words, HOLDING, 14, values["active_energy_export"] or 0, 2)
    put(words, HOLDING, 16, 1, 1)
    put(words, HOLDING, 17, 250, 1)
    put(words, HOLDING, 35, 0x0103, 1)
    return words


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "energy64": Kind(
            "energy64",
            {
                "active_energy_import": Indication("active_energy_import", 0, 10**12),
                "reactive_energy_lagging": Indication("reactive_energy_lagging", 0, 10**12),
                "reactive_energy_leading": Indication("reactive_energy_leading", 0, 10**12),
                "active_power": Indication("active_power", 0),
                "reactive_power": Indication("reactive_power", 0),
                "power_factor_lagging": Indication("power_factor_lagging", -4),
                "power_factor_leading": Indication("power_factor_leading", -4),
                "voltage": Indication("voltage", -1),
                "current": Indication("current", -3),
                "frequency": Indication("frequency", -2),
            },
            _encode_energy64,
        ),
        "pzem004t": Kind(
            "pzem004t",
            {
                "voltage": Indication("voltage", -1),
                "current": Indication("current", -3),
                "active_power": Indication("active_power", -1),
                "active_energy_import": Indication("active_energy_import", 0, 10_000_000),
                "frequency": Indication("frequency", -1),
                "power_factor": Indication("power_factor", -2),
            },
            _encode_pzem004t,
        ),
        "senseair_s8": Kind("senseair_s8", {"co2_fraction": Indication("co2_fraction", 0)}, _encode_senseair_s8),
        "tuf2000": Kind(
            "tuf2000",
            {"volume_flow": Indication("volume_flow", -3), "volume": Indication("volume", -3)},
            _encode_tuf2000,
        ),
        "sdm630": Kind(
            "sdm630",
            {row[0]: Indication(row[2], row[3]) for row in _SDM630_SINGLES},
            _encode_sdm630,
        ),
        "djsf1352": Kind(
            "djsf1352",
            {
                "voltage": Indication("voltage", -3),
                "current": Indication("current", -3),
                "active_power": Indication("active_power", -3),
                "active_energy_import": Indication("active_energy_import", 0),
                "active_energy_export": Indication("active_energy_export", 0),
            },
            _encode_djsf1352,
        ),
    }
)

DEFAULT_SERIALS: Mapping[str, str] = MappingProxyType(
    {
        "energy64": "SIM-0001",
        "pzem004t": "none",
        "senseair_s8": "05A1C3E7",
        "tuf2000": "12800001",
        "register_map": "SIM-0002",
        "sdm630": "20260001",
        "djsf1352": "none",
    }
)
