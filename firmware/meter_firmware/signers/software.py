"""P-256 in Python on a key that lies in the board's own flash: for development, and it says so."""

from meter_firmware import p256
from meter_protocol import fields as f


class SoftwareSigner:
    protection = f.KEY_SOFTWARE

    def __init__(self, private: bytes) -> None:
        self._private = private
        self._public = p256.public_key(private)

    def public_key(self) -> bytes:
        return self._public

    def sign(self, digest: bytes) -> bytes:
        return p256.sign(self._private, digest)
