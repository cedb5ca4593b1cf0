"""An instrument made from a register map's data file: what it holds follows from units and scales, not from the
rows that the meter gets, so that a wrong conversion shows.

Without a value a register shows what no range admits: NaN, digits that are none, or one more than its highest
(less than its lowest where that does not fit); 0 where its range is all that it can hold.
"""

import struct
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

from meter_gateway.register_map import FUNCTIONS, Condition, Register, RegisterMap, Serial
from meter_gateway.register_map import Identity as IdentityRegister
from meter_gateway.units import UNITS
from meter_tools.simulator.instruments import Identity, Indication, Kind, Values, Words, put, put_text

NAME = "register_map"

_NOT_A_NUMBER = {"float32": 0x7FC00000, "float64": 0x7FF8000000000000}


def kind_of_map(register_map: RegisterMap) -> Kind:
    return kind_of_registers(
        register_map.registers, register_map.condition, register_map.identity, register_map.serial
    )


def kind_of_registers(
    registers: Sequence[Register],
    conditions: Sequence[Condition] = (),
    identities: Sequence[IdentityRegister] = (),
    serial: Serial | None = None,
) -> Kind:
    fixed: list[Condition | IdentityRegister] = [*conditions, *identities]

    def encode(values: Values, identity: Identity) -> Words:
        words: Words = {}
        for register in registers:
            _put_value(words, register, values[register.name])
        for place in fixed:
            _put_number(words, place, place.type, place.value)
        if serial is not None:
            _put_serial(words, serial, identity.serial)
        return words

    return Kind(NAME, {register.name: _indication(register) for register in registers}, encode)


def _indication(register: Register) -> Indication:
    steps = None if register.wraps_at is None else Fraction(register.wraps_at) / _step(register)
    return Indication(register.quantity, register.exponent, None if steps is None else int(steps))


def _step(register: Register) -> Fraction:
    """One unit of the indication, as a number in the register's unit."""
    return Fraction(10) ** register.exponent / UNITS[register.unit][1]


def _put_value(words: Words, register: Register, value: int | None) -> None:
    scale = Fraction(register.scale)
    if register.type in _NOT_A_NUMBER:
        if value is None:
            bits = _NOT_A_NUMBER[register.type]
        else:
            kinds = (">f", ">I") if register.type == "float32" else (">d", ">Q")
            (bits,) = struct.unpack(kinds[1], struct.pack(kinds[0], float(value * _step(register) / scale)))
        _put_number(words, register, register.type, bits)
        return
    if value is None:
        _put_number(words, register, register.type, _outside(register))
        return
    content = value * _step(register) / scale
    if content.denominator != 1:
        raise ValueError(f"{register.name}: {value} is no whole number of the register's steps")
    digits = register.type.startswith("bcd")
    number = int(str(content.numerator), 16) if digits else content.numerator
    _put_number(words, register, register.type, number)


def _outside(register: Register) -> int:
    size = _bits(register.type)
    if register.type.startswith("bcd"):
        return (1 << size) - 1
    scale = Fraction(register.scale)
    above = floor(Fraction(register.range[1]) / scale) + 1
    below = ceil(Fraction(register.range[0]) / scale) - 1
    signed = register.type.startswith("int")
    if above <= (1 << size - signed) - 1:
        return above
    return below if below >= -(signed << size - 1) else 0


def _bits(kind: str) -> int:
    return int(kind[-2:])


Place = Register | Condition | IdentityRegister | Serial


def _put_number(words: Words, place: Place, kind: str, value: int) -> None:
    count = _bits(kind) // 16
    put(words, FUNCTIONS[place.function], place.address, value, count, place.word_order == "low")


def _put_serial(words: Words, place: Serial, serial: str) -> None:
    if place.type.startswith("text"):
        put_text(words, FUNCTIONS[place.function], place.address, serial, int(place.type.removeprefix("text")))
    else:
        _put_number(words, place, place.type, int(serial, 16 if place.type.startswith("bcd") else 10))
