"""What is wrong with this gateway, in plain words, each with its remedy. Looks only; changes nothing.

Facts are gathered by the functions that admit it (`look_at_…`); what they mean is decided by pure functions
(`judge_…`). A problem keeps the gateway from doing its work; a warning will, or keeps readings from counting.
"""

import asyncio
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiomqtt

from meter_gateway import backup, broker, policy, signed_updates, state_dir, status
from meter_gateway.clock import kernel_is_disciplined
from meter_gateway.config import BusSection, ClockSection, GatewayConfig, MqttListener, SerialListener, UplinkMqtt
from meter_gateway.registry import Meter
from meter_gateway.sealing import KeyFileError, load_sealers
from meter_gateway.service import make_clock
from meter_gateway.store import Store, StoreError
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust, software
from meter_gateway.traceability.trust import certificate_files
from meter_gateway.validated_toml import ConfigError
from meter_gateway.witness import enrolment
from meter_protocol import fields as f

Level = Literal["ok", "warning", "problem"]

LEAST_FREE_BYTES = 200 * 1024 * 1024
FEW_FREE_BYTES = 2 * 1024 * 1024 * 1024
"""A year of one meter at one message a minute is some 400 MB."""

STALE_STATUS_MS = 15_000
BROKER_TIMEOUT_S = 5.0

EARLIEST_MS = 1_767_225_600_000
"""2026-01-01: this program is younger than any clock that shows less."""


@dataclass(frozen=True, slots=True)
class Check:
    """`text` is a key below `doctor.` in texts.toml; its remedy, if there is one, is `<text>_remedy`."""

    topic: str
    level: Level
    text: str
    values: dict[str, object] = field(default_factory=dict)


def check_all(config: GatewayConfig, now_host_ms: int, euid: int) -> Iterator[Check]:
    """Every check, in the order in which an engineer would ask."""
    yield Check("config", "ok", "config_ok", {"path": config.path})
    yield from look_at_keys(config)
    yield from look_at_trust(config)
    yield from look_at_clock(config)
    yield from look_at_disk(config.gateway.state_dir, euid)
    last = status.read(state_dir.status_path(config))
    yield from look_at_store(config, last)
    yield from asyncio.run(look_at_ways(config))
    yield judge_status(last, now_host_ms)


def look_at_keys(config: GatewayConfig) -> Iterator[Check]:
    try:
        load_sealers(config.keys.receipt, config.keys.verdict, config.keys.clock)
    except KeyFileError as error:
        yield Check("keys", "problem", "as_is", {"error": error})
        return
    yield Check("keys", "ok", "keys_ok")
    for path in (config.keys.receipt, config.keys.verdict, config.keys.clock):
        owner = path.parent.stat()
        if owner.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield Check("keys", "warning", "key_folder_open", {"path": path.parent})
            return


def look_at_trust(config: GatewayConfig) -> Iterator[Check]:
    try:
        trust = load_trust(config)
        scheme = policy.load_scheme(config.gateway.scheme)
    except ConfigError as error:
        yield Check("trust", "problem", "as_is", {"error": error})
        return
    if not trust.authorities:
        yield Check("trust", "warning", "no_authority")
    if not trust.bindings:
        yield Check("trust", "warning", "no_bindings")
    values = {
        "scheme": scheme.name,
        "certificates": len(certificate_files(config)),
        "bindings": len(trust.bindings),
    }
    yield Check("trust", "ok", "trust_ok", dict(values))


def look_at_clock(config: GatewayConfig) -> Iterator[Check]:
    now = make_clock(config).now()
    yield judge_clock(config.clock, now.time_ms, now.clock_status, kernel_is_disciplined())


def judge_clock(settings: ClockSection, time_ms: int, clock_status: int, is_disciplined: bool) -> Check:
    if clock_status == f.CLOCK_UNKNOWN:
        return Check("clock", "problem", "clock_no_time", {"path": settings.source})
    if settings.source is not None:
        return Check("clock", "warning", "clock_replay", {"path": settings.source})
    if time_ms < EARLIEST_MS:
        return Check("clock", "problem", "clock_past")
    if settings.trusted and not is_disciplined:
        return Check("clock", "problem", "clock_undisciplined")
    if not settings.trusted:
        return Check("clock", "warning", "clock_untrusted" if not is_disciplined else "clock_could_be_trusted")
    return Check("clock", "ok", "clock_ok", {"uncertainty": settings.uncertainty_ms})


def look_at_disk(folder: Path, euid: int) -> Iterator[Check]:
    place = folder
    while not place.exists():
        place = place.parent
    if not folder.exists():
        yield Check("disk", "ok", "state_absent", {"path": folder})
    elif not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        yield Check("disk", "problem", "state_not_writable", {"path": folder})
    elif euid == 0 and folder.stat().st_uid != 0:
        yield Check("disk", "warning", "run_as_root", {"user": folder.owner()})
    yield judge_free(place, shutil.disk_usage(place).free)


def judge_free(place: Path, free: int) -> Check:
    values: dict[str, object] = {"path": place, "free": f"{free / 1024**3:.1f}"}
    if free < LEAST_FREE_BYTES:
        return Check("disk", "problem", "disk_full", values)
    if free < FEW_FREE_BYTES:
        return Check("disk", "warning", "disk_little", values)
    return Check("disk", "ok", "disk_ok", values)


def look_at_store(config: GatewayConfig, last: dict[str, object] | None) -> Iterator[Check]:
    """`last` is what the gateway last said of itself."""
    path = state_dir.store_path(config)
    if not path.exists():
        yield Check("store", "ok", "store_absent", {"path": path})
        return
    try:
        backup.check(path)
        with closing(Store(path)) as store:
            yield Check("store", "ok", "store_ok", {"path": path, "size": f"{path.stat().st_size / 1024**2:.1f}"})
            yield from judge_store(store)
            yield from judge_software(config, store)
            yield from judge_witnesses(config, store, last)
    except Told as error:
        yield Check("store", "problem", error.key, error.values)
    except StoreError as error:
        yield Check("store", "problem", "as_is", {"error": error})


def judge_store(store: Store) -> Iterator[Check]:
    """What the stored state asks an engineer to do."""
    meters = store.registry.meters()
    waiting = store.registry.unknown_identities()
    if not meters and not waiting:
        yield Check("meters", "warning", "no_meters")
    elif meters:
        yield Check("meters", "ok", "meters_ok", {"count": len(meters)})
    if waiting:
        yield Check("meters", "warning", "meters_wait", {"count": len(waiting)})
    for meter in meters:
        if meter.barred:
            yield Check("meters", "problem", "meter_barred", {"serial": meter.serial})
        for chain in store.archive.chains(meter.key.thumbprint):
            if chain.parked:
                values = {"serial": meter.serial, "sequence": chain.next_sequence, "parked": chain.parked}
                yield Check("meters", "warning", "chain_waits", dict(values))
    pending = store.outbox.count()
    if pending:
        yield Check("uplink", "warning", "outbox_pending", {"count": pending})


def judge_software(config: GatewayConfig, store: Store) -> Iterator[Check]:
    """What meters say they run and nobody has approved."""
    serials = defaultdict(list)
    approvals = signed_updates.approvals(config, store.database)
    for meter in store.registry.meters():
        known = store.archive.latest_state(meter)
        if known is not None and meter.key.revoked_ms is None and software.findings(known, approvals):
            serials[known.software_id or b""].append(meter.serial)
    for software_id, found in serials.items():
        values = {"count": len(found), "serial": found[0], "id": software_id.hex(), "path": config.path}
        told = "software_refused" if software_id in approvals.listed else "software_unapproved"
        yield Check("meters", "warning", told, dict(values))


async def look_at_ways(config: GatewayConfig) -> list[Check]:
    """Every listener's and the uplink's way out of this machine."""
    found = []
    for section in config.listener:
        if isinstance(section, MqttListener):
            found.append(await look_at_broker("listener", section))
        elif section.port is not None:
            found.append(look_at_port(section))
        else:
            found.append(Check("listener", "ok", "tcp_listener", {"address": "{}:{}".format(*section.tcp or ())}))
    found += [look_at_port(bus) for bus in config.bus if bus.port is not None]
    if config.uplink.mqtt is None:
        found.append(Check("uplink", "warning", "no_uplink"))
    else:
        found.append(await look_at_broker("uplink", config.uplink.mqtt))
    return found


async def look_at_broker(topic: str, section: MqttListener | UplinkMqtt) -> Check:
    address = broker.address(section)
    try:
        async with asyncio.timeout(BROKER_TIMEOUT_S):
            async with broker.client(section):
                return Check(topic, "ok", "broker_ok", {"address": address})
    except (aiomqtt.MqttError, OSError, TimeoutError) as error:
        reason = str(error) or "no answer"
        return Check(topic, "problem", "broker_unreachable", {"address": address, "error": reason})


def look_at_port(section: SerialListener | BusSection) -> Check:
    port = Path(section.port or "")
    values: dict[str, object] = {"port": port}
    if not port.exists():
        return Check("listener", "problem", "port_absent", values)
    if not stat.S_ISCHR(port.stat().st_mode):
        return Check("listener", "problem", "port_no_tty", values)
    if not os.access(port, os.R_OK | os.W_OK):
        return Check("listener", "problem", "port_forbidden", values)
    return Check("listener", "ok", "port_ok", values)


def judge_witnesses(config: GatewayConfig, store: Store, last: dict[str, object] | None) -> Iterator[Check]:
    said, faults = (None if last is None else last.get(key) for key in ("witnesses", "witness_faults"))
    for section in config.witness:
        state = said.get(section.name) if isinstance(said, dict) else None
        fault = faults.get(section.name) if isinstance(faults, dict) else None
        level, text = judge_witness(enrolment.meter_of(store, section), state)
        yield Check("witness", level, text, {"name": section.name, "error": fault or "-"})


def judge_witness(meter: Meter | None, said: str | None) -> tuple[Level, str]:
    """`said` is the running gateway's word for its state."""
    if meter is None:
        return "problem", "witness_not_enrolled"
    if meter.key.revoked_ms is not None:
        return "problem", "witness_revoked"
    if said == "no_key":
        return "problem", "witness_no_key"
    if said == "failed":
        return "problem", "witness_failed"
    if said == "silent":
        return "warning", "witness_silent"
    if said == "no_parameters":
        return "warning", "witness_no_parameters"
    return "ok", "witness_ok" if said == "measures" else "witness_enrolled"


def judge_status(last: dict[str, object] | None, now_host_ms: int) -> Check:
    """What the gateway last said of itself."""
    if last is None:
        return Check("gateway", "warning", "not_started")
    said_ms, store = last.get("host_time_ms"), last.get("store")
    if not isinstance(said_ms, int) or now_host_ms - said_ms > STALE_STATUS_MS:
        return Check("gateway", "warning", "not_running", {"time_ms": said_ms})
    if store != "ok":
        return Check("gateway", "problem", "as_is", {"error": store})
    return Check("gateway", "ok", "running", {"pid": last.get("pid")})


def worst(checks: Sequence[Check]) -> Level:
    levels: tuple[Level, ...] = ("problem", "warning")
    return next((level for level in levels if any(check.level == level for check in checks)), "ok")
