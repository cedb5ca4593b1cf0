"""The loader itself: it imports small software out of slots, on a `board_base` that the test owns."""

import sys

from update_bench import CHIP, MOUNT, SITE, Meter, Update, pack, power_off

from meter_firmware import blockdev
from meter_firmware.slots import MAX_CRASHES, Slots
from meter_firmware.software import GOLDEN

MINE = list(sys.path)


class Failed(Exception):
    pass


class BoardBase:
    def __init__(self):
        self.restarts = 0
        self.site = lambda: SITE

    def mount(self):
        return MOUNT

    def update_site(self):
        return self.site()

    def restart(self):
        self.restarts += 1

    def fail(self, error):
        raise Failed(error)


BASE = BoardBase()
sys.modules["board_base"] = BASE

import meter_loader  # noqa: E402  (it imports board_base)

COSE = "from meter_protocol.helper import VALUE\n"
BOARD = "def board():\n    return 'a board'\n"
APP = """import board_spy
from meter_protocol import cose
def run(board, running):
    board_spy.ran.append((board, running, cose.VALUE))
    {}
    return False
"""


class Spy:
    ran = []


sys.modules["board_spy"] = Spy


def image(ending, helper="VALUE = 1\n"):
    files = [
        ("board.py", BOARD),
        ("meter_firmware/app.py", APP.format(ending)),
        ("meter_protocol/cose.py", COSE),
    ]
    if helper is not None:
        files.append(("meter_protocol/helper.py", helper))
    return pack(sorted([(name, text.encode()) for name, text in files]))


def with_golden_behind(enter):
    """As on a board, where the frozen golden copy is still there to be imported: behind the slot."""

    def wrapper(folder):
        enter(folder)
        sys.path.extend(MINE)

    return wrapper


meter_loader._enter = with_golden_behind(meter_loader._enter)


def start(device=CHIP):
    """One boot; what the software said, and how the boot ended. The test's own modules come back after it."""
    kept = dict(sys.modules)
    power_off()
    blockdev.mount(device, MOUNT)
    Spy.ran = []
    restarts = BASE.restarts
    ended = "end"
    try:
        meter_loader.start()
    except Failed as error:
        ended = type(error.args[0]).__name__
    finally:
        sys.path[:] = MINE
        for name in list(sys.modules):
            if name not in kept:
                del sys.modules[name]
        sys.modules.update(kept)
    if BASE.restarts > restarts:
        ended = "restart"
    return Spy.ran, ended


def test_active_software_runs_from_its_own_modules_alone():
    Meter().update(Update(1, image("pass")))
    assert start() == ([("a board", "a", 1)], "end")
    # A module that it does not bring is not taken from the golden copy, where there is one of that name.
    Meter().update(Update(1, image("import meter_firmware.csr")))
    assert start() == ([("a board", "a", 1)], "ImportError")
    Meter().update(Update(1, image("pass", helper=None)))
    assert start() == ([], "ImportError")
    # Nor is one that the loader's own work has brought in from there.
    assert "meter_sampling" in sys.modules
    Meter().update(Update(1, image("import sys\n    assert 'meter_sampling' not in sys.modules")))
    assert start() == ([("a board", "a", 1)], "end")


def test_software_in_a_partition_runs_from_there():
    meter = Meter(in_place=True).update(Update(1, image("pass")))
    BASE.site = lambda: meter.life.site
    try:
        assert start(meter.partitions.file_system) == ([("a board", "a", 1)], "end")
        assert start(meter.partitions.file_system) == ([("a board", "a", 1)], "end")
        meter.partitions.memory(0)[100] ^= 1
        chosen, real = [], meter_loader._run
        meter_loader._run = chosen.append
        try:
            start(meter.partitions.file_system)
        finally:
            meter_loader._run = real
        assert chosen == [GOLDEN]
    finally:
        BASE.site = lambda: SITE


def test_software_that_crashes_at_every_boot_is_left_and_what_is_not_its_fault_is_not_counted():
    for ending, error, counts in (
        ("raise TypeError", "TypeError", True),
        ("raise MemoryError", "MemoryError", True),
        ("[][1]", "IndexError", True),
        ("raise OSError(5)", "OSError", False),
        ("raise board_spy.SignerError", "SignerError", False),
    ):
        meter = Meter().update(Update(1, image(ending)))
        for _ in range(MAX_CRASHES):
            assert start() == ([("a board", "a", 1)], error)
        assert (meter.boot().running == GOLDEN) == counts, ending


class SignerError(Exception):
    pass


Spy.SignerError = SignerError


def test_a_trial_that_ends_by_any_error_costs_an_attempt_and_is_no_crash():
    meter = Meter()
    meter.install(Update(1, image("raise TypeError")))
    assert start() == ([("a board", "a", 1)], "restart")
    assert start() == ([("a board", "a", 1)], "restart")
    slots = Slots(MOUNT + "/update", SITE)
    assert slots.attempts == 0
    assert slots._crashes() == 0
    assert meter.boot().running == GOLDEN


class BrokenSite:
    partitions = None

    def __init__(self, error):
        self._error = error

    @property
    def vendor_identifier(self):
        raise self._error


def test_whatever_keeps_the_loader_from_deciding_leaves_the_golden_copy():
    Meter().update(Update(1, image("pass")))
    chosen = []
    real = meter_loader._run
    meter_loader._run = chosen.append
    try:
        # An OSError is a slot that cannot be read, and thus lost: that one is last.
        for error in (TypeError(), MemoryError(), IndexError(), OSError(5)):
            assert Slots(MOUNT + "/update", SITE).active is not None

            BASE.site = lambda error=error: BrokenSite(error)
            start()
    finally:
        meter_loader._run = real
        BASE.site = lambda: SITE
    assert chosen == [GOLDEN] * 4
