"""A pulse output: a meter that closes a contact once for so many of its units (IEC 62053-31's S0, reed contacts).

Options: one row [name, quantity, exponent, numerator, denominator, min_on_us, min_off_us, max_per_hour]. A pulse
is numerator / denominator units of 10^exponent of the quantity: 800 imp/kWh is 1250 mWh, exponent -3, 1250 / 1;
3000 imp/kWh is 1000/3 mWh, exponent -3, 1000 / 3. The register shows whole units, rounded down; since a pulse is
at least one of them, the count behind every shown value is known, and nothing is lost by rounding, not over a
boot either. It wraps after 10^9 x denominator pulses: modulus 10^9 x numerator.

More than `max_per_hour` pulses are a contact that chatters: the value is out of range then. What was counted is
kept and is there, flagged, when the contact is quiet again.
"""

import time

from meter_sampling.drivers.driver import REGISTER, Driver, identity
from meter_sampling.drivers.settings import is_integer
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

    Row = list[Any]

TURNS = 10**9
MAX_WEIGHT = 10**9
MAX_DEBOUNCE_US = 10000000
MS_PER_HOUR = 3600000

SLACK = 2
"""Pulses at the two ends of the time between two reads may be of the time before and after it."""


def check(options: "list[Row] | None") -> "Row":
    """The one row, if it is one; InstrumentError `options` otherwise."""
    if options is None or len(options) != 1 or len(options[0]) != 8:
        raise InstrumentError("options")
    row = options[0]
    for word in row[:2]:
        if not isinstance(word, str):
            raise InstrumentError("options")
    for number in row[2:]:
        if not is_integer(number):
            raise InstrumentError("options")
    _, _, exponent, numerator, denominator, min_on_us, min_off_us, max_per_hour = row
    fits = (
        -18 <= exponent <= 18
        and 1 <= denominator <= numerator <= MAX_WEIGHT
        and 0 <= min_on_us <= MAX_DEBOUNCE_US
        and 0 <= min_off_us <= MAX_DEBOUNCE_US
        and max_per_hour >= 1
    )
    if not fits:
        raise InstrumentError("options")
    return row


def convert(raw: int, rest: int, pulses: int, numerator: int, denominator: int) -> int:
    """The register that stood at raw + rest / denominator units, so many pulses later."""
    return (raw * denominator + rest + pulses * numerator) // denominator % (TURNS * numerator)


def rest_of(raw: int, numerator: int, denominator: int) -> int:
    """What rounding hides of the register that shows `raw`, in units / denominator.

    0 where no count of such pulses shows it: the pulses had another weight until now.
    """
    pulses = -(-raw * denominator // numerator)
    rest = pulses * numerator - raw * denominator
    return rest if rest < denominator else 0


class Pulse(Driver):
    BUS = "pulse"
    ADDRESSES = (0, 31)
    ROW: "Row" = []

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._raw = 0
        self._rest = 0
        # The count up to which `_raw` holds, and the one that was read last, with the time.
        self._base = 0
        self._read = 0
        self._read_at: "Any" = None
        if bus.has(address):
            bus.configure(address, self.ROW[5], self.ROW[6])
            self._base = self._read = bus.counted(address)

    def restore(self, name: str, raw: int) -> None:
        self._raw = raw
        self._rest = rest_of(raw, self.ROW[3], self.ROW[4])

    async def _measure(self) -> "tuple[Values, Faults]":
        name, numerator, denominator, max_per_hour = self.ROW[0], self.ROW[3], self.ROW[4], self.ROW[7]
        pulses = self._bus.count(self._address)
        now = self._bus.ticks_ms()
        faults: "Faults" = {}
        if self._read_at is not None:
            elapsed_ms = time.ticks_diff(now, self._read_at)
            if pulses - self._read > max_per_hour * elapsed_ms // MS_PER_HOUR + SLACK:
                faults[name] = "out_of_range"
        self._read = pulses
        self._read_at = now
        return {name: convert(self._raw, self._rest, pulses - self._base, numerator, denominator)}, faults

    async def identify(self) -> "Identity":
        """A contact does not say whose it is."""
        self._bus.counted(self._address)
        return identity(None, "pulse output", None, None)


def define(options: "list[Row] | None") -> "type[Driver]":
    row = check(options)
    name, quantity, exponent, numerator = row[:4]

    class Contact(Pulse):
        ROW = row
        INDICATIONS: "Indications" = {name: (quantity, exponent, TURNS * numerator, REGISTER)}
        LIMITS: "Limits" = {name: (0, TURNS * numerator - 1)}
        VOLATILE = (name,)

    return Contact
