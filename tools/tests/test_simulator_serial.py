"""The byte-serial instruments of the simulator: published frames, and libraries that are not ours."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from meter_firmware import sensors
from meter_protocol.quantities import BY_NAME
from meter_sampling.drivers import mbus
from meter_sampling.instrument_error import InstrumentError
from meter_tools.simulator import Configuration, Simulation, serve
from meter_tools.simulator.instruments import Identity
from meter_tools.simulator.serial_server import SERIAL_KINDS

Serve = Callable[..., Awaitable[Simulation]]
PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""

SILENCE_S = 0.1


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Serve]:
    running: list[Simulation] = []

    async def start(*instruments: dict[str, Any], **more: Any) -> Simulation:
        bus = {"name": "bus", "kind": "serial", "instruments": instruments, **more.pop("bus", {})}
        simulation = await serve(Configuration.model_validate({"bus": [bus], **more}))
        running.append(simulation)
        return simulation

    yield start
    for simulation in running:
        await simulation.close()


def fixed(kind: str, unit: int = 1, serial: str | None = None, **values: int | None) -> dict[str, Any]:
    source = {"kind": "fixed", "values": values}
    return {"name": f"{kind} {serial}", "kind": kind, "unit": unit, "serial": serial, "source": source}


async def exchange(simulation: Simulation, *requests: str, silent: Collection[str] = ()) -> list[str]:
    """What comes back for each of these, in hexadecimal; of those in `silent` empty if nothing does at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulation.buses["bus"].port)
    replies = []
    for request in requests:
        writer.write(bytes.fromhex(request))
        try:
            patience_s = SILENCE_S if request in silent else PATIENCE_S
            replies.append((await asyncio.wait_for(reader.read(300), patience_s)).hex().upper())
        except TimeoutError:
            replies.append("")
    writer.close()
    return replies


@pytest.fixture
def vectors(shared: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((shared / "data" / "vectors" / "metrology_vectors.json").read_text())
    return content


def test_every_serial_driver_is_simulated() -> None:
    serial = set()
    for name in sensors.DRIVERS:
        try:
            if sensors.driver_class(name).BUS == "serial":
                serial.add(name)
        except InstrumentError:
            continue
    assert serial == {kind.driver for kind in SERIAL_KINDS.values()}


@pytest.mark.parametrize("name", sorted(SERIAL_KINDS))
def test_simulator_and_driver_indicate_the_same(name: str) -> None:
    kind = SERIAL_KINDS[name]
    driven = sensors.driver_class(kind.driver, kind.options).INDICATIONS
    assert {key: entry[:3] for key, entry in driven.items()} == {
        key: (indication.quantity, indication.exponent, indication.modulus)
        for key, indication in kind.indications.items()
    }
    assert all(quantity in BY_NAME for quantity, _, _, _ in driven.values())


async def test_published_exchanges_of_dlt645(start: Serve, vectors: dict[str, Any]) -> None:
    energy_request, energy_reply, voltage_request, voltage_reply, *_ = vectors["dlt645_ok"]
    simulation = await start(fixed("dlt645", serial="161", active_energy_import=26, voltage_a=1001))
    assert await exchange(simulation, energy_request, "FEFEFEFE" + voltage_request) == [
        "FEFEFEFE" + energy_reply,
        "FEFEFEFE" + voltage_reply,
    ]
    anyone, ask_address = vectors["dlt645_ok"][4:]
    replies = await exchange(simulation, anyone, ask_address)
    assert replies[0].startswith("FEFEFEFE68610100000000689108")
    assert replies[1] == "FEFEFEFE" + "686101000000006893069434333333335F16"
    stranger = energy_request.replace("6861", "6862")
    assert await exchange(simulation, stranger, silent=[stranger]) == [""]


async def test_published_request_of_cjt188(start: Serve, vectors: dict[str, Any]) -> None:
    simulation = await start(fixed("cjt188_water", serial="78330011223344", volume=55667700))
    circulating = "68104433221100337881161F9000007766552C007766552C310122110515202184"
    assert await exchange(simulation, "FEFEFE" + vectors["cjt188_req"]) == ["FEFEFE" + circulating + "1316"]


async def test_published_exchange_of_the_mhz19(start: Serve, vectors: dict[str, Any]) -> None:
    simulation = await start(fixed("mhz19", co2_fraction=608))
    assert await exchange(simulation, vectors["mhz19"]["cmd"]) == [vectors["mhz19"]["resp"]]


async def test_published_request_of_the_k30(start: Serve) -> None:
    simulation = await start(fixed("k30", co2_fraction=400))
    (reply,) = await exchange(simulation, "FE440008029F25")
    assert reply[:10] == "FE44020190"


async def test_link_layer_of_the_mbus(start: Serve, vectors: dict[str, Any]) -> None:
    frames = vectors["mbus"]
    meter = fixed("mbus_water", unit=1, serial="12345678", volume=5)
    simulation = await start(meter, fixed("mbus_water", unit=2, volume=6))
    nke, request = frames["snd_nke_1"], "107B017C16"
    assert frames["req_ud2_1"] == "105B015C16"
    replies = await exchange(simulation, nke, request, request, frames["req_ud2_1"], nke, request)
    assert replies[0] == frames["ack"]
    first, again, second, ack, anew = replies[1:]
    assert first == again, "asked with the same frame count bit, it repeats"
    assert "041205000000" in second
    assert ack == "E5"
    assert anew[14:] != second[14:]
    assert "4C1300000000" in first
    assert "4C1300000000" in anew, "SND_NKE begins with the first telegram again"
    select, other = "680B0B6853FD5278563412FFFFFFFFB216", "680B0B6853FD5279563412FFFFFFFFB316"
    replies = await exchange(simulation, other, select, "107BFD7816", silent=[other])
    assert replies[:2] == ["", "E5"]
    assert replies[2][14:22] == "78563412"
    replies = await exchange(simulation, other, "107BFD7816", silent=[other, "107BFD7816"])
    assert replies == ["", ""], "a selection that does not match deselects"


async def test_an_echo_and_an_absent_value(start: Serve) -> None:
    simulation = await start(fixed("mhz19", co2_fraction=None), bus={"echo": True})
    request = "FF0186000000000079"
    reader, writer = await asyncio.open_connection("127.0.0.1", simulation.buses["bus"].port)
    writer.write(bytes.fromhex(request))
    assert (await reader.readexactly(18)).hex().upper() == request + "FF86000047000000" + "33"
    writer.close()


async def test_a_pty_carries_the_same_bytes(start: Serve, ask_over_pty: Callable[..., Awaitable[str]]) -> None:
    simulation = await start(fixed("mhz19", co2_fraction=608), bus={"pty": True})
    assert await ask_over_pty(simulation, "FF0186000000000079", 9) == "FF86026047000000D1"


@pytest.mark.parametrize(
    ("change", "words"), [({"kind": "dlt698"}, "kind on a serial bus"), ({"name": "dlt645 1"}, "there twice")]
)
async def test_what_cannot_be_simulated_is_said(start: Serve, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await start(fixed("dlt645", serial="1"), fixed("dlt645", serial="2") | change)
    with pytest.raises(ValidationError):
        await start(fixed("dlt645"), bus={"baud": 2400})


async def test_the_client_of_the_dlt645_library_reads_the_simulated_meter(start: Serve) -> None:
    dlt645 = pytest.importorskip("dlt645", reason="the library dlt645 is missing")
    values = {"active_energy_import": 12345678, "voltage_a": 2301, "current_a": -5001, "active_power": 123456}
    simulation = await start(fixed("dlt645", serial="161", **values))
    client = dlt645.MeterClientService.new_tcp_client("127.0.0.1", simulation.buses["bus"].port, 5.0)
    # The library takes an address in the order of the wire, lowest byte first.
    client.set_address("610100000000")

    def read() -> list[float]:
        energy = client.read_00(0x00010000)
        return [energy.value, *(client.read_02(di).value for di in (0x02010100, 0x02020100, 0x02030000))]

    assert await asyncio.to_thread(read) == [123456.78, 230.1, -5.001, 12.3456]
    client.client.disconnect()


def test_the_library_meterbus_decodes_the_simulated_meters(vectors: dict[str, Any]) -> None:
    meterbus = pytest.importorskip("meterbus", reason="the library pyMeterBus is missing")
    kind = SERIAL_KINDS["mbus_heat"]
    values = {
        "heat": 36 * 218370,
        "volume": 12345678,
        "thermal_power": 54321000,
        "volume_flow": 113000,
        "flow_temperature": 65400,
        "return_temperature": 32100,
        "temperature_difference": 33310,
    }
    meter = kind.make(Identity(2, "12345678"))
    reply = meter.answer(bytes.fromhex("107B027D16"), values)
    assert reply is not None
    telegram = json.loads(meterbus.load(reply).to_JSON())
    assert telegram["body"]["header"]["manufacturer"] == "PAD"
    shown = [(record["type"], pytest.approx(record["value"])) for record in telegram["body"]["records"]]
    for expected in (
        ("VIFUnit.ENERGY_WH", 218370),
        ("VIFUnit.VOLUME", 12345.678),
        ("VIFUnit.POWER_W", 54321),
        ("VIFUnit.VOLUME_FLOW", 0.113),
        ("VIFUnit.FLOW_TEMPERATURE", 65.4),
        ("VIFUnit.RETURN_TEMPERATURE", 32.1),
        ("VIFUnit.TEMPERATURE_DIFFERENCE", 33.31),
    ):
        assert expected in shown


METERBUS_TYPES = {
    "VIFUnit.ENERGY_WH": "energy_wh",
    "VIFUnit.ENERGY_J": "energy_j",
    "VIFUnit.VOLUME": "volume",
    "VIFUnit.MASS": "mass",
    "VIFUnit.POWER_W": "power_w",
    "VIFUnit.VOLUME_FLOW": "flow_per_hour",
    "VIFUnit.MASS_FLOW": "mass_flow",
    "VIFUnit.FLOW_TEMPERATURE": "flow_temperature",
    "VIFUnit.RETURN_TEMPERATURE": "return_temperature",
    "VIFUnit.TEMPERATURE_DIFFERENCE": "temperature_difference",
    "VIFUnit.EXTERNAL_TEMPERATURE": "external_temperature",
}


def test_records_mean_to_the_driver_what_they_mean_to_meterbus() -> None:
    """Two decoders that share no line: 400 random records of every plain dimension and number format."""
    meterbus = pytest.importorskip("meterbus", reason="the library pyMeterBus is missing")
    rng = random.Random(13757)
    vifs = [*range(0x20), *range(0x28, 0x30), *range(0x38, 0x40), *range(0x50, 0x68)]
    compared = 0
    for _ in range(400):
        vif, storage = rng.choice(vifs), rng.randrange(2)
        data_field = rng.choice((1, 2, 3, 4, 6, 0x9, 0xA, 0xB, 0xC, 0xE))
        size = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 0x9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}[data_field]
        if data_field < 9:
            raw = rng.randrange(2 ** (8 * size - 1)).to_bytes(size, "little")
        else:
            raw = bytes.fromhex("".join(rng.choice("0123456789") for _ in range(2 * size)))
        records = bytes([data_field | storage << 6, vif]) + raw
        frame = mbus.long_frame(0x08, 2, 0x72, bytes.fromhex("785634122440010755000000") + records)
        parsed = mbus.telegram(frame, 2)
        assert parsed is not None
        (ours,) = parsed[1]
        (theirs,) = json.loads(meterbus.load(frame).to_JSON())["body"]["records"]
        assert ours.value is not None
        assert ours.place[1] == theirs["storage_number"]
        assert METERBUS_TYPES[theirs["type"]] == ours.dimension
        assert theirs["value"] == pytest.approx(ours.value * 10.0**ours.exponent, rel=1e-9), records.hex()
        compared += 1
    assert compared == 400


PAGE = Path(__file__).parents[2] / "docs" / "instruments.md"


@pytest.mark.parametrize("driver", ["dlt645", "mbus", "k30", "mhz19"])
def test_the_page_lists_what_each_driver_indicates(driver: str) -> None:
    section = PAGE.read_text().split(f"\n### {driver}\n")[1].split("\n### ")[0]
    listed = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[-1].startswith(("register", "sample")):
            modulus = 10 ** int(cells[-1].partition("10^")[2]) if "10^" in cells[-1] else None
            for name in cells[0].replace("*", "").split(","):
                listed[name.strip()] = (cells[-3].split()[0], int(cells[-2].replace("−", "-")), modulus)
    options = SERIAL_KINDS["dlt645"].options if driver == "dlt645" else None
    indicated = sensors.driver_class(driver, options).INDICATIONS
    assert listed == {name: entry[:3] for name, entry in indicated.items()}
