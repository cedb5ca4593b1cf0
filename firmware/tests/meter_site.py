"""A site for the real firmware: the meter's process, its instrument, and a gateway that knows only the protocol.

MicroPython runs boards/unix/main.py; the instrument is a pymodbus server; the gateway listens on the TCP
stand-in of a serial line, verifies and signs with `cryptography`, and believes nothing that is not in order.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from meter_protocol import chain, cose, events, framing, keys, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME
from meter_tools.simulator import Configuration, serve
from meter_tools.simulator.clock import FileClock

PROJECT = Path(__file__).parents[2]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PATIENCE_S = 150
"""On a busy computer; nothing takes so long by itself."""

Clock = Callable[[], int]


class Key:
    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        numbers = self._private.public_key().public_numbers()
        self.cose_key = keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
        self.kid = keys.kid_of(keys.thumbprint(self.cose_key))

    def seal(self, typ: str, fields: dict[int, Any]) -> bytes:
        protected = cose.protected_header(cose.ES256, self.kid, typ)
        payload = messages.encode(typ, fields)
        der = self._private.sign(cose.to_be_signed(protected, payload), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        s = min(s, P256_ORDER - s)
        return cose.assemble(protected, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def verify(cose_key: bytes, sign1: cose.Sign1) -> None:
    point = b"\x04" + keys.decode(cose_key)[1]
    r, s = sign1.signature[:32], sign1.signature[32:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    public.verify(der, cose.to_be_signed(sign1.protected, sign1.payload), ec.ECDSA(hashes.SHA256()))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Gateway:
    """Takes what is in order, asks for what is missing, and answers as SPEC §7 says."""

    def __init__(self, clock: Clock) -> None:
        self.receipts, self.time, self.authority, self.updates = Key(), Key(), Key(), Key()
        self.clock = clock
        self.meter_key: bytes | None = None
        self.is_enrolled = False
        self.answers = True
        self.parameters: bytes | None = None
        self.chains: dict[bytes, list[bytes]] = {}
        self.take_image_request: Callable[[dict[int, Any]], None] = lambda fields: None
        self.forged = self.duplicates = self.foreign = self.requests = 0
        self._streams: set[asyncio.StreamWriter] = set()
        self._asked = 0.0
        self._followed: list[tuple[str, dict[int, Any]]] = []
        self._previous, self._identity, self._software = chain.GENESIS, b"", b""
        self._applied: bytes | None = None

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()
        self.hang_up()
        await until(lambda: not self._streams, "the line to end")

    def hang_up(self) -> None:
        for stream in self._streams:
            stream.transport.abort()

    def say(self, raw: bytes) -> None:
        for stream in self._streams:
            stream.write(framing.frame(raw))

    def noise(self, data: bytes) -> None:
        for stream in self._streams:
            stream.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        deframer = framing.Deframer()
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(4096):
                for payload in deframer.feed(chunk):
                    self._take(payload)
        self._streams.discard(writer)
        writer.close()

    def _take(self, payload: bytes) -> None:
        epochs = set()
        for raw in cose.split_sequence(payload):
            sign1 = cose.split(raw)
            if sign1.typ == t.IDENTITY and self.meter_key is None:
                self.meter_key = messages.decode(t.IDENTITY, sign1.payload)[f.PUBLIC_KEY]
            if not self.is_enrolled or not self.answers:
                continue
            assert self.meter_key is not None
            if sign1.kid != keys.kid_of(keys.thumbprint(self.meter_key)):
                self.foreign += 1
                continue
            try:
                verify(self.meter_key, sign1)
            except InvalidSignature:
                self.forged += 1
                continue
            fields = messages.decode(sign1.typ, sign1.payload)
            if sign1.typ == t.TIME_REQUEST:
                self.answer(self.time, t.TIME_REPLY, {f.NONCE: fields[f.NONCE]})
            elif sign1.typ == t.IMAGE_REQUEST:
                self.take_image_request(fields)
            else:
                epochs.add(fields[f.EPOCH])
                self._place(raw, fields)
        for epoch in epochs:
            self._receipt(epoch)

    def _place(self, raw: bytes, fields: dict[int, Any]) -> None:
        kept = self.chains.setdefault(fields[f.EPOCH], [])
        sequence = fields[f.SEQUENCE]
        if sequence < len(kept):
            assert kept[sequence] == raw, "a sequence was sealed twice"
            self.duplicates += 1
        elif sequence == len(kept):
            kept.append(raw)
        elif time.monotonic() - self._asked > 1:
            self._asked = time.monotonic()
            self.requests += 1
            self.answer(self.receipts, t.RESEND_REQUEST, {f.EPOCH: fields[f.EPOCH], f.SEQUENCE: len(kept)})

    def _receipt(self, epoch: bytes) -> None:
        kept = self.chains[epoch]
        if not kept:
            return
        sign1 = cose.split(kept[-1])
        digest = chain.message_hash(sign1.protected, sign1.payload)
        self.answer(self.receipts, t.RECEIPT, {f.EPOCH: epoch, f.SEQUENCE: len(kept) - 1, f.HASH: digest})

    def answer(self, key: Key, typ: str, body: dict[int, Any]) -> None:
        self.say(key.seal(typ, self.common() | body))

    def common(self) -> dict[int, Any]:
        assert self.meter_key is not None
        return {
            f.VERSION: 1,
            f.TIME_MS: self.clock(),
            f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
            f.CLOCK_UNCERTAINTY_MS: 5,
            f.METER: keys.thumbprint(self.meter_key),
        }

    def seal_parameters(self, version: int, interval_s: int, period_ms: int) -> bytes:
        instrument = {
            f.INSTRUMENT_DRIVER: "energy64",
            f.INSTRUMENT_BUS: "bus0",
            f.INSTRUMENT_ADDRESS: 1,
            f.INSTRUMENT_SERIAL: "SIM-0001",
            f.INSTRUMENT_OPTIONS: None,
        }
        about = {
            f.SET_VERSION: version,
            f.INTERVAL_S: interval_s,
            f.SAMPLE_PERIOD_MS: period_ms,
            f.INSTRUMENTS: [instrument],
            f.CHANNELS: [
                _channel(1, "active_energy_import", f.CHANNEL_REGISTER, 10**12, 80),
                _channel(2, "active_power", f.CHANNEL_MEAN, None, 1),
            ],
            f.RECEIPT_KEYS: [self.receipts.cose_key],
            f.CLOCK_KEYS: [self.time.cose_key],
        }
        return self.authority.seal(t.PARAMETER_SET, self.common() | about)

    def messages(self) -> list[tuple[str, dict[int, Any]]]:
        """The one chain, its links and contexts followed, each message once: tests wait for what comes in it."""
        assert len(self.chains) == 1
        (kept,) = self.chains.values()
        for raw in kept[len(self._followed) :]:
            sign1 = cose.split(raw)
            fields = messages.decode(sign1.typ, sign1.payload)
            assert (fields[f.SEQUENCE], fields[f.PREVIOUS]) == (len(self._followed), self._previous)
            self._previous = chain.message_hash(sign1.protected, sign1.payload)
            if sign1.typ == t.IDENTITY:
                self._identity, self._software = self._previous, fields[f.SOFTWARE_ID]
            else:
                assert fields[f.CONTEXT] == chain.context_digest(self._identity, self._applied, self._software)
            if sign1.typ == t.EVENT and fields[f.EVENT_CODE] == events.PARAMETERS_APPLIED:
                applied = cose.split(fields[f.DETAILS][events.PARAMETER_SET])
                self._applied = chain.message_hash(applied.protected, applied.payload)
            if sign1.typ == t.EVENT and fields[f.EVENT_CODE] == events.BOOT:
                self._software = fields[f.DETAILS][events.SOFTWARE_ID]
            self._followed.append((sign1.typ, fields))
        return list(self._followed)

    def readings(self) -> list[dict[int, Any]]:
        return [fields for typ, fields in self.messages() if typ == t.READINGS]

    def totals(self) -> list[int]:
        totals = [fields[f.READINGS][1][1] for fields in self.readings() if 1 in fields[f.READINGS]]
        assert totals == sorted(totals)
        return totals

    def event_codes(self) -> list[int]:
        return [fields[f.EVENT_CODE] for typ, fields in self.messages() if typ == t.EVENT]


def _channel(number: int, indication: str, kind: int, modulus: int | None, ratio: int) -> dict[int, Any]:
    return {
        f.CHANNEL_ID: number,
        f.CHANNEL_INSTRUMENT: 0,
        f.CHANNEL_INDICATION: indication,
        f.CHANNEL_QUANTITY: BY_NAME[indication].code,
        f.CHANNEL_KIND: kind,
        f.CHANNEL_EXPONENT: 0,
        f.CHANNEL_RATIO: ratio,
        f.CHANNEL_MODULUS: modulus,
        f.CHANNEL_MAX_STEP: None,
        f.CHANNEL_OPERATING_POINT: None,
        f.CHANNEL_EXTREMES: False,
    }


class Site:
    """A folder with a meter's flash and configuration, its gateway and its instrument."""

    checkout = PROJECT
    """Whose software is the golden copy."""

    def __init__(self, folder: Path, micropython: Path, replay: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._micropython = micropython
        self._replay = replay
        clock = FileClock(Path(replay["clock_file"])) if replay else now_ms
        self.gateway = Gateway(clock)
        self.shown: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    async def open(self, energy: Callable[[int], int]) -> None:
        link_port = await self.gateway.listen()
        source = {"kind": "fixed", "values": {}}
        entry = {"name": "main", "kind": "energy64", "unit": 1, "source": source}
        bus = {"name": "bus0", "framing": "tcp", "instruments": [entry]}
        clock_file = self._replay["clock_file"] if self._replay else None
        self._simulation = await serve(Configuration.model_validate({"bus": [bus], "clock_file": clock_file}))
        self._simulation.instruments["main"].source = lambda utc_ms: self._show(energy(utc_ms))
        config: dict[str, Any] = {
            "serial": "T-1",
            "flash": str(self.folder / "flash.bin"),
            "journal_bytes": 1 << 18,
            "authority_keys": [self.gateway.authority.cose_key.hex()],
            "update_keys": [self.gateway.updates.cose_key.hex()],
            "buses": {
                "bus0": {
                    "host": "127.0.0.1",
                    "tcp_port": self._simulation.buses["bus0"].port,
                    "framing": "tcp",
                    # No instrument fails here, and a busy computer does not make it.
                    "timeout_ms": 10_000,
                }
            },
            "link": {"type": "serial", "host": "127.0.0.1", "tcp_port": link_port},
            "stop_file": str(self.folder / "stop"),
        }
        if self._replay:
            config["replay"] = self._replay
        (self.folder / "meter.json").write_text(json.dumps(config))

    def _show(self, energy_wh: int) -> dict[str, int | None]:
        self.shown.append(energy_wh)
        others = ("reactive_energy_lagging", "reactive_energy_leading", "reactive_power", "voltage", "current")
        factors = ("power_factor_lagging", "power_factor_leading")
        values: dict[str, int | None] = dict.fromkeys(others + factors, 0)
        return values | {"active_energy_import": energy_wh, "active_power": 7200, "frequency": 5000}

    async def close(self) -> None:
        self.kill()
        await self.gateway.close()
        await self._simulation.close()

    def start(self) -> None:
        search = [".frozen", *(str(self.checkout / part) for part in ("protocol", "firmware", "boards/unix"))]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._micropython, self.checkout / "boards" / "unix" / "main.py", self.folder / "meter.json"],
                env=os.environ | {"MICROPYPATH": ":".join(search)},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def stop(self) -> str:
        """An orderly end; the last line of the console."""
        (self.folder / "stop").touch()
        return await self.ended()

    async def ended(self) -> str:
        await until(lambda: not self.is_running(), "the meter to end")
        console = (self.folder / "console.log").read_text()
        assert self._process is not None
        assert self._process.returncode == 0, console
        return console.splitlines()[-1]

    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def is_running(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def console(self) -> str:
        return (self.folder / "console.log").read_text()

    def cpu_s(self) -> float:
        assert self._process is not None
        after_name = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    async def commission(self, interval_s: int, period_ms: int) -> None:
        """What a field engineer does: the label's thumbprint is read, the meter enrolled, its set handed over."""
        self.start()
        await until(lambda: self.gateway.meter_key is not None, "the identity")
        assert self.gateway.meter_key is not None
        label = (self.folder / "console.log").read_text().split()[3]
        assert label == keys.thumbprint(self.gateway.meter_key).hex()
        assert self.gateway.chains == {}
        self.gateway.is_enrolled = True
        self.gateway.say(self.gateway.seal_parameters(1, interval_s, period_ms))


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.02)
