"""`python -m meter_tools.bench`: runs every part and prints one table."""

import argparse
import asyncio
import tempfile
from operator import attrgetter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from meter_gateway import workers
from meter_tools.bench import again, broker, gateway, load, machine
from meter_tools.bench.all_rules import trust_with_all_rules
from meter_tools.simulated_meter import trust_in

MESSAGES = 1_020_000
QUICK_MESSAGES = 300_000
BROKER_SHARE = 6
"""The broker's turn gets this fraction of the messages."""

LONE_MESSAGES = 200
LONE_PAUSE_S = 0.02
OPENSSL_S = 5
EARLY, WIDTH = 1_000, 20_000
GOAL, RESEARCH_GOAL = 0.5, 0.7
LATENCY_GOAL_MS = 20
JUDGED_AGAIN = 1_000_000
"""Readings whose verdicts are made anew."""

AGAIN_GOAL_S = 60


def main() -> None:
    arguments = _parse()
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="carbonmeter-bench-", dir=arguments.folder) as name,
        console.status("") as status,
    ):
        folder = Path(name)
        messages = arguments.messages or (QUICK_MESSAGES if arguments.quick else MESSAGES)
        pool = workers.Pool(machine.CORES)
        try:
            status.update("OpenSSL alone")
            openssl = machine.measure_openssl(OPENSSL_S)
            status.update(f"{arguments.meters} meters seal {messages} messages")
            stream = load.seal_frames(folder, "stream", arguments.meters, messages, machine.CORES)
            status.update("the gateway takes them in")
            trusting = trust_with_all_rules if arguments.all_rules else trust_in
            run = asyncio.run(gateway.commit_stream(folder, stream, pool, trusting))
            stored = (folder / "stream.db").stat().st_size
            # The machine's limit is what it did at its best: a neighbour may have slowed one of the two.
            status.update("OpenSSL alone, once more")
            openssl = max(openssl, machine.measure_openssl(OPENSSL_S), key=attrgetter("verify_rate"))
            status.update("verdicts are made anew")
            some = -(-JUDGED_AGAIN // again.READINGS_A_MESSAGE * arguments.meters // stream.messages)
            judged = again.judge_again(folder / "stream.db", stream.meters[: max(1, some)])
            status.update("lone messages on an idle gateway")
            latency = asyncio.run(gateway.lone_messages(folder, pool, LONE_MESSAGES, LONE_PAUSE_S))
            program = broker.find_mosquitto()
            through_broker = None
            if program is not None and not arguments.no_broker:
                status.update("the same through a broker")
                publishes = load.seal_publishes(
                    folder, "publish", arguments.meters, messages // BROKER_SHARE, machine.CORES
                )
                through_broker = asyncio.run(broker.publish_stream(folder, publishes, pool, program))
        finally:
            pool.close()
    _print(console, arguments.meters, openssl, run, stored, judged, latency, through_broker)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300,000 messages instead of a million")
    parser.add_argument("--messages", type=int, help="how many messages instead")
    parser.add_argument("--meters", type=int, default=50, help="how many meters seal them (50)")
    parser.add_argument(
        "--all-rules", action="store_true", help="limits, targets, data validity and more sources on every channel"
    )
    parser.add_argument("--no-broker", action="store_true", help="leave the broker's turn out")
    parser.add_argument("--folder", type=Path, help="where to put the store, which is what the disk matters for")
    return parser.parse_args()


def _print(
    console: Console,
    meters: int,
    openssl: machine.OpenSsl,
    run: gateway.Run,
    stored_bytes: int,
    judged: again.JudgedAgain,
    latency: gateway.Latency,
    through_broker: broker.BrokerRun | None,
) -> None:
    table = Table(title=f"carbonmeter on {machine.CORES} cores of {machine.processor()}", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    first, last = run.samples[0], run.samples[-1]
    late = max(EARLY, run.messages - WIDTH)
    table.add_row("OpenSSL P-256 verify, all cores", f"{openssl.verify_rate:,.0f} /s", openssl.version)
    table.add_row(
        "gateway, framed bytes to receipt",
        f"{run.rate:,.0f} /s",
        f"{run.messages:,} messages of 10 readings from {meters} meters, {load.FRAME_MESSAGES} in a frame;"
        f" {run.accepted:,} accepted, {run.rejected:,} rejected, {run.receipts:,} receipts signed",
    )
    ratio = run.rate / openssl.verify_rate
    table.add_row("ratio", f"{ratio:.1%}", f"goal {GOAL:.0%}, research goal {RESEARCH_GOAL:.0%}")
    table.add_row(
        "taken by other processes", f"{run.others_share:.0%}", "of the machine meanwhile, which the rate lacks"
    )
    table.add_row(
        "processor time of a message",
        f"{run.cpu_us:.1f} µs",
        f"all processes of the gateway; OpenSSL needs {openssl.verify_us:.1f} µs to verify one signature, which"
        f" is {openssl.verify_us / run.cpu_us:.1%}: the ratio of a gateway that has the machine for itself",
    )
    early_us, late_us = run.cpu_us_around(EARLY, WIDTH), run.cpu_us_around(late, WIDTH)
    table.add_row(f"… with {EARLY:,} stored", f"{early_us:.1f} µs", f"over {WIDTH:,} messages")
    table.add_row(f"… with {late:,} stored", f"{late_us:.1f} µs", "likewise")
    table.add_row(
        "size of a message in the store", f"{stored_bytes / run.messages:.0f} B", "with verdict and indexes"
    )
    table.add_row("memory before", f"{first.memory_mib:.0f} MiB", "resident, all processes of the gateway")
    half_mib = run.sample_at(0.5).memory_mib
    table.add_row("memory after", f"{last.memory_mib:.0f} MiB", f"{half_mib:.0f} MiB at half time")
    for what, each in zip(("nothing changed", "certificates gone", "and back"), judged, strict=True):
        table.add_row(
            f"judged again, {what}",
            f"{each.seconds:.1f} s",
            f"{each.messages:,} messages of {again.READINGS_A_MESSAGE} readings, {each.revised:,} verdicts"
            f" revised; goal {AGAIN_GOAL_S} s for {JUDGED_AGAIN:,} readings",
        )
    table.add_row(
        "lone message, arrival to receipt",
        f"{latency.median_ms:.1f} ms",
        f"median of {latency.messages}; 95 % within {latency.p95_ms:.1f} ms; goal {LATENCY_GOAL_MS} ms",
    )
    if through_broker is None:
        table.add_row("through a broker", "not run", "install mosquitto, and leave --no-broker out")
    else:
        table.add_row(
            "through a broker",
            f"{through_broker.rate:,.0f} /s",
            f"{through_broker.messages:,} messages, from the first publish to the last receipt;"
            f" {through_broker.broker}; load generator meter_tools.bench.publisher (paho, QoS 1, a window of"
            f" 16 KiB for each meter); all on the same cores: gateway {through_broker.gateway_cpu_us:.1f} µs and"
            f" broker {through_broker.broker_cpu_us:.1f} µs for each message",
        )
    console.print(table)


if __name__ == "__main__":
    main()
