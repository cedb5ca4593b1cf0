"""`make hil`: every Robot suite on an emulated board, several at once, with all the set-up that this needs.

Prints the verdict and the minutes of each suite. In build/hil/<platform> there is then, for each, a folder with
its console log, sealed messages and verdict, and for all of them junit.xml, log.html and report.html.

Ends with 0 where everything passed, 1 where the firmware failed a case, 2 where something is missing, 3 where only
an emulator failed, twice, so that there is no verdict.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from robot.rebot import rebot  # type: ignore[import-untyped]

from hil_tests.platforms import PlatformError, module_of
from hil_tests.suite_run import Outcome, run_suite, runs_on, sources
from meter_tools.mpycross import PROJECT

OUTPUT = PROJECT / "build" / "hil"
AT_ONCE = 2 * (os.cpu_count() or 1)
"""Meters mostly wait for their next sample."""


def main(arguments: Sequence[str]) -> int:
    options, robot_arguments = _parser().parse_known_args(arguments)
    started = time.monotonic()
    try:
        module_of(options.emulator).prepare()
        chosen = sources(options.suite)
    except (PlatformError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"set-up took {(time.monotonic() - started) / 60:.1f} min", flush=True)
    output: Path = options.output / options.emulator
    output.mkdir(parents=True, exist_ok=True)
    runnable = [source for source in chosen if runs_on(source, options.emulator)]
    with ThreadPoolExecutor(options.at_once) as pool:
        outcomes = list(pool.map(lambda source: _run(source, options.emulator, output, robot_arguments), runnable))
    _merge(output, [source.stem for source in runnable])
    _summarise(outcomes, [source.stem for source in chosen if source not in runnable], options.emulator)
    print(f"{(time.monotonic() - started) / 60:6.2f} min in all; {output / 'junit.xml'}")
    return _code(outcomes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make hil", description="The Robot suites on an emulated board.")
    parser.add_argument("--emulator", default="qemu", help="a platform: qemu, renode or unix")
    parser.add_argument("--suite", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for a folder of the emulator's name")
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    return parser


def _run(source: Path, platform: str, output: Path, arguments: Sequence[str]) -> Outcome:
    outcome = run_suite(source, platform, output, arguments)
    print(f"{outcome.seconds / 60:6.2f} min  {outcome.status:<10}  {outcome.suite}", flush=True)
    for case in outcome.cases:
        if case["status"] == "FAIL":
            print(f"            {case['name']}: {case['message']}", flush=True)
    for reason in {case["message"] for case in outcome.cases if case["status"] == "SKIP"}:
        print(f"            skipped: {reason.splitlines()[-1]}", flush=True)
    if not outcome.verdict:
        print(outcome.said, flush=True)
    return outcome


def _merge(output: Path, names: Sequence[str]) -> None:
    results = [str(output / f"{name}.xml") for name in names if (output / f"{name}.xml").exists()]
    with (output / "rebot.txt").open("w") as said:
        rebot(*results, name="HIL", outputdir=str(output), xunit="junit.xml", stdout=said, stderr=said)


def _summarise(outcomes: Sequence[Outcome], left_out: Sequence[str], platform: str) -> None:
    by_status = dict.fromkeys(("passed", "failed", "skipped", "no verdict"), 0)
    for outcome in outcomes:
        by_status[outcome.status] += 1
    failures = [f"{outcome.suite}: {failure}" for outcome in outcomes for failure in outcome.emulator_failures]
    print(f"\n{len(outcomes)} suites: " + ", ".join(f"{count} {status}" for status, count in by_status.items()))
    if left_out:
        print(f"not on {platform}: {', '.join(left_out)}")
    print(f"failures of the emulator itself: {len(failures)}")
    for failure in failures:
        print(f"  {failure}")


def _code(outcomes: Sequence[Outcome]) -> int:
    statuses = {outcome.status for outcome in outcomes}
    if "failed" in statuses:
        return 1
    if "no verdict" in statuses:
        return 3
    return 0 if "passed" in statuses else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
