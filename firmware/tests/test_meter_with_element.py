"""The whole meter, a process of its own, its key in a simulated ATECC608; its gateway verifies with OpenSSL."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from meter_site import Site, now_ms, until

from meter_protocol import events, keys
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulator import atecc608_zone
from meter_tools.simulator.atecc608 import Chip
from meter_tools.simulator.atecc608_line import ChipAtAddress, element_line


class ElementSite(Site):
    """A site whose meter has an element; `chip` is the one that sits in the socket."""

    async def open_with_element(self) -> None:
        began = now_ms()
        await self.open(lambda _: 5000 + now_ms() - began)
        self.chip = Chip(bytes(atecc608_zone.for_meter()))
        self._element = element_line(self.chip)
        host, port = await self._element.listen("127.0.0.1", 0)
        path = self.folder / "meter.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"signer": {"host": host, "tcp_port": port}}))

    def put_in(self, chip: Chip) -> None:
        self.chip = chip
        devices: Any = self._element.bus
        for device in devices.devices.values():
            assert isinstance(device.chip, ChipAtAddress)
            device.chip.chip = chip

    async def close(self) -> None:
        await super().close()
        await self._element.shutdown()

    async def fails_to_boot(self, said: str) -> None:
        self.start()
        await until(lambda: said in self.console(), said)
        await until(lambda: not self.is_running(), "the meter to give up")
        assert self.exit_code() != 0


@pytest_asyncio.fixture
async def site(tmp_path: Path, micropython: Path) -> AsyncIterator[ElementSite]:
    opened = ElementSite(tmp_path, micropython)
    await opened.open_with_element()
    yield opened
    await opened.close()


async def test_from_the_box_to_receipted_readings(site: ElementSite) -> None:
    gateway = site.gateway
    assert site.chip.keys == {}
    await site.commission(1, 500)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 2, "readings")
    summary = await site.stop()
    assert "drained yes" in summary
    typ, identity = gateway.messages()[0]
    assert (typ, identity[f.KEY_PROTECTION]) == (t.IDENTITY, f.KEY_SECURE_ELEMENT)
    numbers = site.chip.keys[0].public_key().public_numbers()
    public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    assert identity[f.PUBLIC_KEY] == keys.encode_p256(public)
    assert (gateway.forged, gateway.foreign) == (0, 0)
    private = site.chip.keys[0].private_numbers().private_value.to_bytes(32, "big")
    assert private not in (site.folder / "flash.bin").read_bytes()
    assert private.hex() not in site.console()


async def test_an_element_that_is_gone_replaced_and_back(site: ElementSite) -> None:
    gateway, own = site.gateway, site.chip
    await site.commission(1, 500)
    await until(lambda: len(gateway.chains) == 1 and len(gateway.readings()) >= 1, "readings")
    site.kill()
    own.faults.dead = True
    await site.fails_to_boot("signer failed: no_response")
    another = Chip(bytes(atecc608_zone.for_meter()))
    site.put_in(another)
    await site.fails_to_boot("signer failed: slot_empty")
    assert another.keys == {}
    another.keys[0] = ec.generate_private_key(ec.SECP256R1())
    await site.fails_to_boot("signer failed: public_key_changed")
    own.faults.dead = False
    site.put_in(own)
    site.start()
    await until(lambda: events.SELF_TEST_FAILED in gateway.event_codes(), "the event")
    assert gateway.forged == 0
    said = [fields for typ, fields in gateway.messages() if typ == t.EVENT]
    (failed,) = [fields for fields in said if fields[f.EVENT_CODE] == events.SELF_TEST_FAILED]
    assert failed[f.DETAILS] == {events.REASON: "public_key_changed"}
