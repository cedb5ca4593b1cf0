"""The port's C module for P-256 (firmware/native), or None where the port was built without it.

It has `public_key(private)` -> x || y, `sign(private, digest)` -> r || s and `verify(public, digest, signature)`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import carbonmeter_native as _found  # type: ignore[import-not-found]
except ImportError:
    _found = None

module: "Any" = _found
