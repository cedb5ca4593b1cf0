"""The provisioning line, and what a board does that has nothing else to do: wait there for its factory record."""

import asyncio
import gc
import os
import time

from meter_firmware import factory, signer_boot, software
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.link import MAX_PAYLOAD
from meter_firmware.links.serial import SerialLink
from meter_firmware.memory import Memory
from meter_firmware.signers.signer import SignerError
from meter_sampling.clock import MeterClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.first_contact import FirstContact

_FLUSH_MS = 200
"""An answer leaves a UART at 115,200 baud in less, before the board starts anew."""

_REST = 2
"""An answer costs signatures, in Python seconds. Whoever floods the line gets a third of the meter at most."""

_STATE = (
    "public_key",
    "signer_failure",
    "parameters",
    "parameters.first",
    "parameters.pending",
    "parameters.previous",
    "receipt",
)
_EPOCH_FILE = "epoch"


class ProvisioningLine:
    """Serves one line, one question at a time; what comes while an answer is on its way is asked again.

    `make` makes the FirstContact at the first question: a meter may never hear one, and has the heap for something
    else.
    """

    def __init__(self, opener: "Any", make: "Callable[[], FirstContact]") -> None:
        self._make = make
        self._contact: "FirstContact | None" = None
        self._link = SerialLink(opener.open, Backoff(_random_below), MAX_PAYLOAD)
        self._link.receive = self._receive
        self._asked: "bytes | None" = None
        self._wake = asyncio.Event()

    @property
    def restart_wanted(self) -> bool:
        return self._contact is not None and self._contact.restart_wanted

    def _receive(self, payload: bytes) -> None:
        if self._asked is None:
            self._asked = payload
            self._wake.set()

    async def run(self) -> None:
        """Until the board has to start anew."""
        line = asyncio.create_task(self._link.run())
        try:
            while not self.restart_wanted:
                await self._wake.wait()
                self._wake.clear()
                asked, self._asked = self._asked, None
                began = time.ticks_ms()
                answers = self._answers(asked or b"")
                worked_ms = time.ticks_diff(time.ticks_ms(), began)
                for answer in answers:
                    await self._link.send(answer)
                if not self.restart_wanted:
                    await asyncio.sleep_ms(_REST * worked_ms)
            await asyncio.sleep_ms(_FLUSH_MS)
        finally:
            line.cancel()

    def _answers(self, asked: bytes) -> "list[bytes]":
        """None where the heap has no room for it: what is asked of a meter must not stop it."""
        try:
            if self._contact is None:
                self._contact = self._make()
            return self._contact.answer(asked)
        except MemoryError:
            gc.collect()
            return []


async def wait_for_record(board: "Any") -> bool:
    """First contact of a board without a record; True once it has one and is to start anew as a meter."""
    from meter_firmware.first_contact import Chain, FirstContact

    root = board.mount()
    memory = Memory(root + "/memory")
    wipe(board, memory, root)
    sealer = signer_boot.open_sealer(board, memory)
    clock = MeterClock()

    def seal_about_us(typ: str, body: "dict[int, Any]") -> bytes:
        return sealer.seal_about_us(typ, body, clock.stamp(board.clock.ticks_ms()))

    software_id = software.software_id(board.software_files(), board.image_region)
    contact = FirstContact(board, memory, sealer, software_id, seal_about_us, Chain())
    opener = board.provisioning_line()
    if opener is None:
        raise ValueError("a board without a factory record needs a provisioning line")
    board.say("no factory record, thumbprint " + sealer.thumbprint.hex())
    task = asyncio.create_task(ProvisioningLine(opener, lambda: contact).run())
    while not task.done() and not board.finished():
        board.feed_watchdog()
        await asyncio.sleep_ms(20)
    if task.done():
        await task
    task.cancel()
    return contact.restart_wanted


def wipe(board: "Any", memory: Memory, root: str) -> None:
    """What a meter that was given up leaves behind (SPEC §16.4); the epoch last, for it says that there is more.

    A new board has no epoch, and keeps the key that an earlier start of it made.
    """
    if not factory.was_never_written(memory) or memory.read(_EPOCH_FILE) is None:
        return
    try:
        board.renew_key(memory)
    except SignerError as error:
        # A slot that is locked to its key. The maker sees that the key is the old one, and takes the board away.
        board.say("key not renewed: " + str(error))
    for name in _STATE:
        memory.remove(name)
    _remove_folder(root + "/journal")
    memory.remove(_EPOCH_FILE)


def _remove_folder(path: str) -> None:
    try:
        entries = list(os.ilistdir(path))
    except OSError:
        return
    for entry in entries:
        if entry[1] & 0x4000:
            _remove_folder(path + "/" + entry[0])
        else:
            os.remove(path + "/" + entry[0])
    os.rmdir(path)


def _random_below(limit: int) -> int:
    return int.from_bytes(os.urandom(4), "big") % limit
