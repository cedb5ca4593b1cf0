"""Power cuts at the flash operations of a scenario that ran once: which, how, and what was promised until then.

A scenario has

    record() -> Recording             run it once on a Recorder
    live(device, promises)            boot and go on, on a chip whose power may fail, noting what is promised
    check(chip, promises)             boot on what the cut left, hold it against the promises, and go on

A cut "after" an operation leaves what a cut "before" the next one leaves, with fewer promises made: it needs no
run of its own.
"""

import random

from flash_record import Replay
from journal_flash import PowerCut

from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling import MeterError

MODES = ("before", "torn")
SECOND_MODES = ("before", "torn", "after")
_SOON = 60
"""Operations within which a second cut comes: in the recovery from the first, or in what follows it."""


class Promises:
    """What a journal's caller was told: kept where no power cut reaches it."""

    def __init__(self):
        self.records = []
        # What is being appended: there whole, or not at all.
        self.trying = None
        # The highest sequence of each epoch that a receipt named.
        self.freed = {}
        # Whatever else a scenario promises.
        self.others = {}

    def note(self, what, value):
        if what == "try":
            self.trying = value
        elif what == "append":
            self.records.append(self.trying)
            self.trying = None
        elif what == "refuse":
            self.trying = None
        elif what == "free":
            epoch, sequence = value
            self.freed[epoch] = max(sequence, self.freed.get(epoch, -1))
        else:
            self.others[what] = value

    def copy(self):
        other = Promises()
        other.records = list(self.records)
        other.trying = self.trying
        other.freed = dict(self.freed)
        other.others = dict(self.others)
        return other

    def is_freed(self, record):
        return record[1] <= self.freed.get(record[0], -1)

    def settle(self, is_there):
        """After a boot: what was being appended is there, and counts, or is not, and never was."""
        if self.trying is not None and is_there(self.trying):
            self.records.append(self.trying)
        self.trying = None

    def check_journal(self, journal):
        """Nothing lost, nothing made up, nothing out of order, no mark ahead of the receipts; after `settle`."""
        assert journal.recovered_head_proven
        assert journal.quarantined == []
        assert journal.head == (self.records[-1] if self.records else None)
        there = list(journal.records())
        kept = {record[:2] for record in there}
        assert there == [record for record in self.records if record[:2] in kept], "what was never promised"
        waiting = [record for record in self.records if not self.is_freed(record)]
        pending = journal.pending(1 << 30)
        sent_again = len(pending) - len(waiting)
        assert sent_again >= 0, "not receipted, and freed"
        in_line = {record[:2] for record in pending}
        assert pending == [record for record in self.records if record[:2] in in_line]
        for record in waiting:
            assert record[:2] in in_line, "not receipted, and lost"


class Recording(Promises):
    """Promises, and after how many operations each was made."""

    def __init__(self, flash):
        super().__init__()
        self.flash = flash
        self.log = []

    def after_event(self, code):
        """How many operations were done when the append of the last such event returned."""
        position = None
        for operations, what, value in self.log:
            if what == "try":
                sign1 = cose.split(value[2])
                is_it = sign1.typ == t.EVENT and _code(sign1) == code
            elif what == "append" and is_it:
                position = operations
        assert position is not None
        return position

    def note(self, what, value):
        self.log.append((len(self.flash.operations), what, value))
        super().note(what, value)


class Cutter:
    """Goes over a recording; the promises are those that stood before the operation at hand."""

    def __init__(self, recording):
        self.count = len(recording.flash.operations)
        self._log = recording.log
        self._noted = 0
        self._replay = Replay(recording.flash)
        self._promises = Promises()

    def cut(self, position, mode):
        self._replay.go_to(position)
        while self._noted < len(self._log) and self._log[self._noted][0] <= position:
            _, what, value = self._log[self._noted]
            self._promises.note(what, value)
            self._noted += 1
        return self._replay.cut(mode, position), self._promises.copy()


def cut_singly(scenario, wanted=None, part=0, parts=1):
    """At every operation of this part, or at those of a sample of as many as are wanted."""
    cutter = Cutter(scenario.record())
    cuts = 0
    for position in _sample(cutter.count, wanted):
        if position % parts != part:
            continue
        # After the last operation there is nothing to cut, only to boot.
        for mode in MODES[: 1 if position == cutter.count else None]:
            cuts += 1
            try:
                scenario.check(*cutter.cut(position, mode))
            except BaseException:
                print("cut", mode, "operation", position, "of", cutter.count)
                raise
    print(cuts, "cuts at", cutter.count, "operations")


def cut_doubly(scenario, count, seed):
    """The second cut falls into the boot after the first, or soon after it."""
    cutter = Cutter(scenario.record())
    random.seed(seed)
    plans = []
    for _ in range(count):
        position, later = random.randrange(cutter.count), random.randrange(_SOON)
        plans.append((position, random.choice(MODES), later, random.choice(SECOND_MODES)))
    # Drawn before any cut, because tearing seeds the generator anew; cut in the order of the recording.
    _cut_doubly(scenario, cutter, sorted(plans))


def cut_after_event(scenario, code):
    """Before the first operation after this event was journalled, and then at each of the next boot's."""
    recording = scenario.record()
    position = recording.after_event(code)
    plans = [(position, "before", later, "before") for later in range(_SOON)]
    _cut_doubly(scenario, Cutter(recording), plans)


def _cut_doubly(scenario, cutter, plans):
    for position, mode, later, second_mode in plans:
        try:
            chip, promises = cutter.cut(position, mode)
            live_until_cut(scenario, PowerCut(chip, later, second_mode, position), promises)
            scenario.check(chip, promises)
        except BaseException:
            print("cut", mode, "operation", position, "of", cutter.count, "then", second_mode, later)
            raise
    print(len(plans), "double cuts")


def live_until_cut(scenario, device, promises):
    try:
        scenario.live(device, promises)
    except (MeterError, OSError) as error:
        if not device.dead:
            raise error


def _code(sign1):
    return messages.decode(t.EVENT, sign1.payload)[f.EVENT_CODE]


def _sample(count, wanted):
    if wanted is None or wanted >= count:
        return range(count + 1)
    random.seed(20261122)
    return sorted(set([random.randrange(count) for _ in range(wanted)] + [0, 1, 2, 3, count]))
