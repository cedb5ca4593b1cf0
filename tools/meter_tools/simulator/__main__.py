"""`python -m meter_tools.simulator FILE`: the instruments of a configuration, until SIGTERM or SIGINT.

Says where they are in one line of JSON on standard output as soon as all of them listen.
"""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from meter_tools.simulator.configuration import load_configuration
from meter_tools.simulator.server import serve
from meter_tools.simulator.trace_map import TraceError


async def run(path: Path) -> None:
    # pymodbus calls every request for an absent address an error.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    simulation = await serve(load_configuration(path))
    buses = {name: {"host": bus.host, "port": bus.port, "pty": bus.pty} for name, bus in simulation.buses.items()}
    print(json.dumps({"simulator": "ready", "buses": buses}), flush=True)
    await stopped.wait()
    await simulation.close()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m meter_tools.simulator FILE.toml|FILE.json", file=sys.stderr)
        return 2
    try:
        asyncio.run(run(Path(arguments[0])))
    except (OSError, ValueError, ValidationError, TraceError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
