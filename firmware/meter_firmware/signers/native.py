"""P-256 by the port's C module, on a key in the processor's flash.

A board that asks for it and has none gets an error, never another signer.
"""

from meter_firmware import low_s
from meter_firmware.native_module import module
from meter_firmware.signers.signer import SignerError
from meter_protocol import fields as f


class NativeSigner:
    protection = f.KEY_NATIVE

    def __init__(self, private: bytes) -> None:
        if module is None:
            raise SignerError("native_missing")
        self._private = private
        self._public: bytes = module.public_key(private)

    def public_key(self) -> bytes:
        return self._public

    def sign(self, digest: bytes) -> bytes:
        return low_s.normalised(module.sign(self._private, digest))
