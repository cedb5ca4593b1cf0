"""The one place that checks a signature: by the native module where the port has it, else in Python.

Whatever the engine itself would accept, only low-S signatures of the right length reach it.
"""

from meter_firmware import low_s, native_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_verify: "Callable[[bytes, bytes, bytes], bool]"
if native_module.module is None:
    from meter_firmware.p256 import verify as _verify
else:
    _verify = native_module.module.verify


def verify(public: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the signature (r || s) is this key's (x || y) over this SHA-256 digest; malformed input is False."""
    if len(public) != 64 or len(digest) != 32 or not low_s.accepts(signature):
        return False
    return _verify(public, digest, signature)
