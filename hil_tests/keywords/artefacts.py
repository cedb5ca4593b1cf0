"""What a suite leaves behind for whoever asks why: console log, sealed messages, verdict."""

import json
import shutil
from pathlib import Path
from typing import Any

from hil_tests.keywords.gateway import Gateway


def fresh_folder(output: Path, suite: Path) -> Path:
    """A folder of the suite's own; what an earlier run left there is gone."""
    folder = output / suite.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, gateway: Gateway, result: Any, platform: str, seed: int, passed_over: int) -> None:
    """messages.cose is a CBOR sequence (RFC 8742) in chain order, each message as it was on the line."""
    chain = gateway.chain
    (folder / "messages.cose").write_bytes(b"".join(message.raw for message in chain.messages))
    verdict = {
        "suite": result.name,
        "passed": result.passed,
        "platform": platform,
        "seed": seed,
        "meter": chain.thumbprint.hex() if chain.messages else None,
        "messages": {"verified": len(chain.messages), "repeated": chain.repeated, "refused": gateway.faults},
        "intervals_disturbed_by_host": passed_over,
        "cases": [
            {
                "name": case.name,
                "passed": case.passed,
                "seconds": round(case.elapsed_time.total_seconds(), 1),
                "message": case.message,
            }
            for case in result.tests
        ],
    }
    (folder / "verdict.json").write_text(json.dumps(verdict, indent=1, ensure_ascii=False) + "\n")
