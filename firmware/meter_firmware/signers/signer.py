"""The seam: what seals asks a Signer, and what a Signer says when it cannot.

A Signer has `protection` (a KEY_… value of meter_protocol.fields), `public_key()` -> x || y and `sign(digest)`
-> r || s over a SHA-256 digest, low-S. It is synchronous. There is no call that returns a private key.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Signer(Protocol):
        protection: int

        def public_key(self) -> bytes: ...

        def sign(self, digest: bytes) -> bytes: ...


class SignerError(Exception):
    """The key cannot be used. `reason` is one of these, `code` what the device said, if it said anything:

    - no_response: nothing answers on the bus, or not with the wake token
    - crc: answers come damaged, or the device says that commands do
    - busy: the device took a command and never finished it
    - watchdog: the device fell asleep over a command
    - execution_failed: the device refused a command; `code` is its status byte
    - wrong_device: another chip than the driver is for; `code` is its revision
    - config_not_locked, data_not_locked, slot_not_private, slot_not_p256, slot_readable, slot_cannot_sign,
      slot_writable, slot_limited, slot_needs_authorisation, slot_public_key_hidden: the configuration is not
      that of a meter's key
    - config_not_written: a blank chip did not take its configuration; it was not locked
    - slot_empty: there is no key in the slot, and none may be made now
    - native_missing: this port has no native module
    - key_damaged: the key's file does not hold a key
    - public_key_changed: the key is not the one that this board has had
    - self_test_sign, self_test_verify: a signature, or the check of one, comes out wrong
    """

    def __init__(self, reason: str, code: "int | None" = None) -> None:
        super().__init__(reason if code is None else "%s 0x%02x" % (reason, code))
        self.reason = reason
        self.code = code
