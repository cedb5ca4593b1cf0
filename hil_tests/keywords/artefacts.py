"""What a suite leaves behind for whoever asks why: console log, sealed messages, verdict."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil_tests.keywords.gateway import Gateway
from hil_tests.platforms import PlatformError

VERDICT = "verdict.json"
MESSAGES = "messages.cose"
CONSOLE = "console.log"


@dataclass(frozen=True)
class Run:
    platform: str
    seed: int
    passed_over: int
    """Intervals that the host disturbed."""


def fresh_folder(output: Path, suite: Path) -> Path:
    """A folder of the suite's own; what an earlier run left there is gone."""
    folder = output / suite.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, gateway: Gateway | None, result: Any, run: Run) -> None:
    """messages.cose is a CBOR sequence (RFC 8742) in chain order, each message as it was on the line.

    Without a gateway nothing was ever powered on.
    """
    messages = [] if gateway is None else gateway.chain.messages
    repeated, faults = (0, []) if gateway is None else (gateway.chain.repeated, gateway.faults)
    (folder / MESSAGES).write_bytes(b"".join(message.raw for message in messages))
    verdict = {
        "suite": result.name,
        "passed": result.passed,
        "platform": run.platform,
        "emulator_failure": emulator_failure(result),
        "seed": run.seed,
        "meter": gateway.chain.thumbprint.hex() if gateway is not None and messages else None,
        "messages": {"verified": len(messages), "repeated": repeated, "refused": faults},
        "intervals_disturbed_by_host": run.passed_over,
        "cases": [
            {
                "name": case.name,
                "status": case.status,
                "seconds": round(case.elapsed_time.total_seconds(), 1),
                "message": case.message,
            }
            for case in result.tests
        ],
    }
    (folder / VERDICT).write_text(json.dumps(verdict, indent=1, ensure_ascii=False) + "\n")


def emulator_failure(result: Any) -> str | None:
    """What a platform said of itself, where that ended the suite: robot names an exception before its words."""
    said = [result.message, *(case.message for case in result.tests)]
    found = [line for text in said for line in text.splitlines() if f"{PlatformError.__name__}: " in line]
    return found[0] if found else None
