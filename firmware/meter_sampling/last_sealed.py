"""What the newest messages of a chain say about its registers: where a meter goes on after its boot.

A regular message holds every channel, so only what was sealed from the newest of them on matters. An outage
is only about some channels, and after a change of parameters there may be no reading yet.
"""

from meter_protocol import events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling import read_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.seams import Journal


class LastSealed:
    """`readings`: each channel's newest, under the set in force; `before_change`: under the set before it.

    `ended_ms`: the Unix time of the newest readings, if their clock had one. `overflow`: the totals before it,
    if the journal was full and no event said since that it takes messages again.
    """

    def __init__(self) -> None:
        self.readings: "dict[int, Any]" = {}
        self.before_change: "dict[int, Any]" = {}
        self.ended_ms: "int | None" = None
        self.overflow: "dict[int, int | None] | None" = None

    def take(self, raw: bytes) -> None:
        typ, fields = read_back.opened(raw)
        if typ == t.READINGS:
            self.readings.update(fields[f.READINGS])
            self.ended_ms = None if fields[f.CLOCK_STATUS] == f.CLOCK_RELATIVE else fields[f.TIME_MS]
        elif typ == t.EVENT:
            self._take_event(fields)

    def _take_event(self, fields: "dict[int, Any]") -> None:
        code = fields[f.EVENT_CODE]
        # Before its first boot event a new epoch only repeats the set in force.
        if code == events.PARAMETERS_APPLIED and fields[f.BOOT] > 0:
            self.before_change = self.readings
            self.readings = {}
        elif code == events.JOURNAL_OVERFLOW:
            self.overflow = fields[f.DETAILS][events.TOTALS_BEFORE]
        elif code == events.JOURNAL_RESUMED:
            self.overflow = None


def last_sealed(journal: "Journal", epoch: bytes, sequence: int) -> LastSealed:
    """`sequence` is that of the newest message."""
    found = LastSealed()
    while sequence >= 0:
        raw = journal.read(epoch, sequence)
        if raw is None:
            sequence = -1
        elif holds_every_channel(raw):
            break
        else:
            sequence -= 1
    # Without one (a new epoch began, or the journal holds nothing but events) everything there is counts.
    for _, _, raw in journal.records((epoch, sequence) if sequence >= 0 else None):
        found.take(raw)
    return found


def holds_every_channel(raw: bytes) -> bool:
    typ, fields = read_back.opened(raw)
    return typ == t.READINGS and bool(fields[f.KIND] != f.KIND_OUTAGE)
