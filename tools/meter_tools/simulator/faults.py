"""What can be wrong with an instrument, switched on and off while it runs.

In a process of its own the simulator reads its faults from a JSON file, `{"instrument": {"kind": "slow",
"delay_ms": 800}}`, at every request; no file, no faults.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

FaultKind = Literal["silent", "nonsense", "slow", "exception", "truncated", "bad_crc"]


class Fault(BaseModel):
    """silent: no reply. nonsense: bytes that are no frame. slow: the true reply, after `delay_ms`.

    exception: Modbus exception `code`; a chip does not acknowledge. truncated: the first half of the true reply.
    bad_crc: one bit of the true reply is wrong, except on Modbus. A chip that is silent has lost its supply.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    delay_ms: int = 1000
    code: int = 4


FaultsNow = Callable[[], Mapping[str, Fault]]
"""By instrument."""

_FAULTS = TypeAdapter(dict[str, Fault])


class FaultFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Mapping[str, Fault]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        return _FAULTS.validate_json(content)


def write_fault_file(path: Path, faults: Mapping[str, Fault]) -> None:
    """Replaces the file in one step, so that the simulator never reads half of it."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps({name: fault.model_dump() for name, fault in faults.items()}))
    scratch.replace(path)
