"""The meter's key in an ATECC608 secure element: made inside it, used inside it, never outside.

At boot the driver refuses, with the reason, any other chip, any zone that is not locked and any slot whose
configuration is not that of a meter's key (atecc608_config.py). It never falls back to another signer.

`generate` allows a key to be made where the slot has none: for a board's first boot. A board that has had a
key must not get another by itself (`slot_empty`): it would be another meter.

The element draws its own nonce for each signature, and either form of s: this brings it to low-S.
"""

from meter_firmware import low_s
from meter_firmware.signers import atecc608_commands as commands
from meter_firmware.signers.atecc608_bus import ADDRESS, Atecc608Bus
from meter_firmware.signers.atecc608_config import may_generate, objection
from meter_firmware.signers.signer import SignerError
from meter_protocol import fields as f

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_REVISION_608 = 0x60
_ECC_FAULT = 0x05
_EXECUTION_ERROR = 0x0F


class Atecc608Signer:
    protection = f.KEY_SECURE_ELEMENT

    def __init__(
        self,
        i2c: "Any",
        slot: int = 0,
        address: int = ADDRESS,
        generate: bool = False,
        sleep_us: "Callable[[int], None] | None" = None,
    ) -> None:
        self._bus = Atecc608Bus(i2c, address, sleep_us)
        self._slot = slot
        require_608(self._bus)
        zone = commands.configuration(self._bus)
        reason = objection(zone, slot)
        if reason is not None:
            raise SignerError(reason)
        self.serial_number = zone[0:4] + zone[8:13]
        self._public = self._find_key(generate and may_generate(zone, slot))

    def public_key(self) -> bytes:
        return self._public

    def sign(self, digest: bytes) -> bytes:
        if len(digest) != 32:
            raise ValueError("the digest is not 32 bytes")
        return low_s.normalised(commands.sign(self._bus, self._slot, digest))

    def renew(self) -> None:
        """Another key in place of the one that is there: of a board that is given up."""
        self._public = commands.generate_key(self._bus, self._slot)

    def read_counter(self, number: int) -> int:
        """One of the two monotonic counters (0, 1) that the chip keeps."""
        return commands.counter(self._bus, number)

    def _find_key(self, may_make_one: bool) -> bytes:
        try:
            return commands.public_key(self._bus, self._slot)
        except SignerError as error:
            if error.code not in (_ECC_FAULT, _EXECUTION_ERROR):
                raise
        if not may_make_one:
            raise SignerError("slot_empty")
        return commands.generate_key(self._bus, self._slot)


def require_608(bus: Atecc608Bus) -> None:
    revision = commands.revision(bus)
    if revision[2] != _REVISION_608:
        raise SignerError("wrong_device", revision[2])
