"""Starts the meter's software: from slot A or B if it is what the update authority signed, else the golden copy.

`start()` is all that a board's main.py calls. This package is frozen into the board's image, beside a golden copy
of the firmware and the board's files, and no update replaces it. Beside them it needs the board's `board_base`:

    mount()         -> root of the mounted flash; a second call only says it again
    update_site()   -> the UpdateSite, or None: then the golden copy is the only software
    restart()       starts the board anew
    fail(error)     the same, after software that is on no trial ended by an error

The choice is meter_firmware.slots': a trial with attempts left, else the active slot, else the one before, else
the golden copy; each is verified first, to its last byte. A trial that ends by an error costs an attempt, as one
does that hangs until the watchdog bites. What is active and ends by an error at boot after boot, without reaching
the gateway in any of them, is left, too; errors of flash, bus or signer are not the software's, and not counted.
"""

import gc
import sys

import board_base

GOLDEN = "golden"

_OF_SOFTWARE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def start() -> None:
    root = board_base.mount()
    running, on_trial, folder = _choose(root)
    _let_go()
    if running != GOLDEN:
        print("software " + running + (" on trial" if on_trial else ""))
        _enter(folder)
    try:
        wants_restart = _run(running)
    except Exception as error:  # noqa: BLE001  (whatever it is, the software before must get its turn)
        if not on_trial:
            if running != GOLDEN and isinstance(error, _OF_SOFTWARE):
                _note_crash(root)
            board_base.fail(error)
        sys.print_exception(error)
        wants_restart = True
    if wants_restart:
        board_base.restart()


def _choose(root: str) -> "tuple[str, bool, str]":
    """(what to run, whether it is on trial, where its modules are)."""
    # The golden copy's modules are imported here and not above, so that nothing holds them when they are let go.
    from meter_firmware.slots import Slots

    site = board_base.update_site()
    if site is None:
        return GOLDEN, False, ""
    try:
        slots = Slots(root + "/update", site)
        running = slots.choose()
        folder = "" if running == GOLDEN else slots.folder(running)
    except Exception as error:  # noqa: BLE001  (whatever a flash or an earlier software left there)
        # An OSError: what was decided could not be kept. This is for the golden copy to deal with.
        sys.print_exception(error)
        return GOLDEN, False, ""
    return running, slots.is_on_trial(running), folder


def _let_go() -> None:
    """Of what the choice took of the golden copy: if that is what runs, it imports what it needs itself."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("meter_firmware", "meter_sampling", "meter_protocol"):
            del sys.modules[name]
    gc.collect()


def _enter(folder: str) -> None:
    """Take every module from this folder; the interpreter's own are frozen."""
    sys.path[:] = [folder, ".frozen"]


def _note_crash(root: str) -> None:
    """One byte more in the file that meter_firmware.slots counts by. What crashed has no part in writing it."""
    try:
        with open(root + "/update/crashes", "ab") as file:
            file.write(b"x")
    except OSError as error:
        sys.print_exception(error)


def _run(running: str) -> bool:
    from board import board

    from meter_firmware.app import run

    return run(board(), running)
