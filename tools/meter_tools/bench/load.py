"""What the meters send: real chains of many meters, sealed before the clock runs, kept in files.

Meters' names say who seals what, so the gateway under test and the processes that seal need to share nothing.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from meter_protocol import framing
from meter_tools.simulated_meter import SimulatedMeter

FRAME_MESSAGES = 12
"""In one frame or publish: about 4 KiB, as the firmware sends its backlog."""

_LENGTH = 4


class Load(NamedTuple):
    """Files of one kind of load; each holds the messages of its own meters, frame by frame in turn."""

    paths: list[Path]
    meters: list[SimulatedMeter]
    messages: int


def seal_frames(folder: Path, name: str, meters: int, messages: int, cores: int) -> Load:
    """Files of serial frames, one after the other as on a line."""
    return _seal(folder, name, meters, messages, cores, is_framed=True)


def seal_publishes(folder: Path, name: str, meters: int, messages: int, cores: int) -> Load:
    """Files of MQTT payloads, each behind its meter's kid and its length; read them with `publishes`."""
    return _seal(folder, name, meters, messages, cores, is_framed=False)


def publishes(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(kid, payload) in the order of the file."""
    with path.open("rb") as file:
        while kid := file.read(8):
            yield kid, file.read(int.from_bytes(file.read(_LENGTH), "big"))


def _seal(folder: Path, name: str, meters: int, messages: int, cores: int, is_framed: bool) -> Load:
    names = [f"{name} {number}" for number in range(meters)]
    rounds = -(-messages // (meters * FRAME_MESSAGES))
    paths = [folder / f"{name}-{core}.load" for core in range(cores)]
    with ProcessPoolExecutor(cores) as processes:
        shares = (names[core::cores] for core in range(cores))
        counts = list(
            processes.map(_seal_share, paths, shares, itertools.repeat(rounds), itertools.repeat(is_framed))
        )
    return Load(paths, [SimulatedMeter(meter) for meter in names], sum(counts))


def _seal_share(path: Path, names: Sequence[str], rounds: int, is_framed: bool) -> int:
    """In a process of its own; how many messages it sealed."""
    meters = [SimulatedMeter(name) for name in names]
    count = 0
    with path.open("wb") as file:
        for turn in range(rounds + 1):
            for meter in meters:
                messages = [meter.readings() for _ in range(FRAME_MESSAGES)] if turn else meter.begin()
                count += len(messages)
                payload = b"".join(messages)
                if is_framed:
                    file.write(framing.frame(payload))
                else:
                    file.write(meter.kid + len(payload).to_bytes(_LENGTH, "big") + payload)
    return count
