"""The maker's part for a board under test: its factory record, over its provisioning line (SPEC §16).

The authority that signs the record is made for it and forgotten; the record names the bench's authorities beside
it, and those are whom the meter obeys.
"""

import hashlib
import time
from collections.abc import Iterable
from typing import Any

from hil_tests.platforms import PlatformError
from meter_gateway.sealing import Sealer
from meter_gateway.texts import Texts, Told
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.provisioning.board import record_message
from meter_tools.provisioning.line import Line


def hand_over(
    port: str,
    serial: str,
    authority_keys: Iterable[bytes],
    update_keys: Iterable[bytes] = (),
    link: dict[int, Any] | None = None,
) -> bytes:
    """The board at this port has its record when this returns, and starts anew; the digest of the record."""
    maker = Sealer.generate(t.ROLE_PARAMETERS)
    body = {
        fc.RECORD_SERIAL: serial,
        fc.RECORD_AUTHORITY_KEYS: [*authority_keys, maker.cose_key],
        fc.RECORD_UPDATE_KEYS: list(update_keys),
        fc.RECORD_CERTIFICATE: None,
        fc.RECORD_LINK: link,
        fc.RECORD_PARAMETER_SET: None,
    }
    try:
        line = Line(port)
        try:
            hello = line.hello()
            record = record_message(maker, hello.thumbprint, body, time.time_ns() // 1_000_000)
            reason = line.offer(hello, None, record)
        finally:
            line.close()
    except Told as error:
        raise PlatformError(Texts("en")(error.key, **error.values)) from error
    if reason is not None:
        raise AssertionError(f"the board refused its record: {reason}")
    return hashlib.sha256(record).digest()
