"""The whole firmware of `nucleo_f429zi` in Renode, over Ethernet to a broker on this host.

    python -m hil_tests.over_ethernet firmware.elf --tap cm0 --tls

First contact on the console, metering of simulated instruments on RS-485, sealed messages over DHCP, TCP, TLS and
MQTT; then the power is cut, and the meter must go on where its flash chip says. Every signature, hash and context
digest is checked. It needs Renode, mosquitto, dnsmasq, and a TAP that is 10.99.0.1 (docs/hil.md). Prints what came
and when; ends with 1 where something did not.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hil_tests.keywords import broker_certificate, channels
from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.gateway import Gateway
from hil_tests.keywords.instruments import InstrumentBuses
from hil_tests.keywords.mqtt_end import MqttEnd
from hil_tests.keywords.verification import Message
from hil_tests.platforms import HOST, PlatformError
from hil_tests.platforms.first_contact import hand_over
from hil_tests.platforms.renode_monitor import Monitor, monitor
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_tools.demo.processes import Process
from meter_tools.mpycross import PROJECT

SCRIPT = PROJECT / "boards" / "nucleo_f429zi" / "nucleo_f429zi.resc"
FLASH_BYTES = 16 << 20
SERIAL = "NUCLEO-0001"
ADDRESS = "10.99.0.1"
METER_ADDRESS = "10.99.0.50"
BROKER_PORT = 1883
BROKER_TLS_PORT = 8883
BROKER_NAME = "broker.example"
INTERVAL_S = 5
SAMPLE_PERIOD_MS = 1000
READINGS = 4
PATIENCE_S = 240
START_S = 20


class Meter:
    def __init__(self, folder: Path, image: Path, content: bytes, tap: str, bus_port: int) -> None:
        self._folder = folder
        self._image = image
        self._tap = tap
        self._bus_port = bus_port
        self._monitor: Monitor = monitor()
        self._console = folder / "console.log"
        self._console.touch()
        self.flash = folder / "flash.bin"
        self.flash.write_bytes(content)
        self.provisioning = folder / "provisioning"

    def power_on(self) -> None:
        for command in (
            "Clear",
            f"include @{SCRIPT}",
            f"sysbus LoadELF @{self._image}",
            "runMacro $reset",
            f"sysbus.spi1.flash_chip KeepIn @{self.flash}",
            f'sysbus.usart3 AppendToHostFile "{self._console}"',
            f'emulation CreateUartPtyTerminal "console" "{self.provisioning}" True',
            "connector Connect sysbus.usart3 console",
            f'emulation CreateHostLine "modbus0" "{HOST}" {self._bus_port}',
            "connector Connect sysbus.usart2 modbus0",
            'emulation CreateSwitch "switch"',
            f'emulation CreateTap "{self._tap}" "tap"',
            "connector Connect host.tap switch",
            "connector Connect sysbus.ethernet switch",
            "start",
        ):
            self._monitor.do(command)

    def cut_power(self) -> None:
        self._monitor.do("pause")
        self._monitor.do("Clear")

    def console(self) -> str:
        return self._console.read_text(errors="replace")

    def check(self) -> None:
        self._monitor.check()


@contextmanager
def network(folder: Path, tap: str, is_tls: bool) -> Iterator[None]:
    """A broker and an address for the meter, on the TAP's own network only."""
    config = folder / "mosquitto.conf"
    settings = f"user root\nallow_anonymous true\npersistence false\nlistener {BROKER_PORT} {ADDRESS}\n"
    if is_tls:
        files = f"certfile {folder / 'broker.pem'}\nkeyfile {folder / 'broker.key'}\n"
        settings += f"listener {BROKER_TLS_PORT} {ADDRESS}\n{files}"
    config.write_text(settings)
    dhcp = [
        *(_program("dnsmasq"), "--no-daemon", "--conf-file=/dev/null", "--port=0", "--log-dhcp"),
        *(f"--interface={tap}", "--bind-interfaces", f"--dhcp-leasefile={folder / 'leases'}"),
        f"--dhcp-range={METER_ADDRESS},{METER_ADDRESS},1h",
    ]
    started: list[Process] = []
    try:
        started.append(Process("dnsmasq", dhcp, folder / "dnsmasq.log"))
        started.append(Process("mosquitto", [_program("mosquitto"), "-v", "-c", config], folder / "mosquitto.log"))
        started[-1].wait_for(" running", START_S)
        yield
    finally:
        for process in started:
            process.stop()


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        sys.exit(f"{name} is missing: sudo apt-get install {name}")
    return found


def run(folder: Path, image: Path, content: bytes, tap: str, ca: bytes | None) -> None:
    site = channels.usual_site()
    instruments = InstrumentBuses(site.instruments, folder)
    instruments.show(channels.ENERGY_METER, "active_energy_import", [1000])
    instruments.show(channels.CO2_SENSOR, "co2_fraction", [421])
    gateway = Gateway(BenchClock(), lambda receive: MqttEnd(receive, ADDRESS, BROKER_PORT))
    meter = Meter(folder, image, content, tap, instruments.ports[channels.MODBUS])
    started = time.monotonic()

    def wait_for(what: str, look: Callable[[Message], bool], from_: int = 0) -> Message:
        message = gateway.wait_for(
            lambda: next((found for found in gateway.chain.messages[from_:] if look(found)), None),
            *(PATIENCE_S, what, meter.check),
        )
        print(f"{time.monotonic() - started:6.1f} s  {message}", flush=True)
        return message

    def wait_for_readings(from_: int) -> None:
        for _ in range(READINGS):
            from_ = (
                wait_for(
                    "regular readings", lambda message: message.named.get("kind") == "regular", from_
                ).sequence
                + 1
            )
            print(f"          {site.readings_by_name(gateway.chain.messages[from_ - 1].fields)}", flush=True)

    try:
        meter.power_on()
        first_contact(meter, gateway, ca)
        print(f"{time.monotonic() - started:6.1f} s  the board has its factory record", flush=True)
        wait_for("boot", lambda message: message.name == "boot")
        gateway.send(gateway.authority.seal(t.PARAMETER_SET, gateway.about_meter() | parameters(gateway, site)))
        wait_for("parameters applied", lambda message: message.name == "parameters_applied")
        wait_for_readings(0)
        meter.cut_power()
        head = len(gateway.chain.messages)
        print(f"{time.monotonic() - started:6.1f} s  power cut after {head} messages", flush=True)
        meter.power_on()
        wait_for("second boot", lambda message: message.name == "boot", head)
        wait_for_readings(head)
        gateway.check()
        print(
            f"{len(gateway.chain.messages)} messages in one chain, all verified; {gateway.chain.repeated} repeated"
        )
    finally:
        print(meter.console(), flush=True)
        meter.cut_power()
        gateway.link.close()


def first_contact(meter: Meter, gateway: Gateway, ca: bytes | None) -> None:
    """A board out of the box first reads its whole chip, to see that nothing is on it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        meter.check()
        try:
            hand_over(str(meter.provisioning), SERIAL, [gateway.authority.cose_key], link=link_settings(ca))
        except PlatformError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def link_settings(ca: bytes | None) -> dict[int, Any]:
    return {
        fc.LINK_WIFI_SSID: None,
        fc.LINK_WIFI_PASSWORD: None,
        fc.LINK_HOST: ADDRESS,
        fc.LINK_PORT: BROKER_PORT if ca is None else BROKER_TLS_PORT,
        fc.LINK_USERNAME: None,
        fc.LINK_PASSWORD: None,
        fc.LINK_SERVER_NAME: None if ca is None else BROKER_NAME,
        fc.LINK_CA_CERTIFICATE: ca,
    }


def parameters(gateway: Gateway, site: channels.Site) -> dict[int, Any]:
    return {
        f.SET_VERSION: 1,
        f.INTERVAL_S: INTERVAL_S,
        f.SAMPLE_PERIOD_MS: SAMPLE_PERIOD_MS,
        f.INSTRUMENTS: site.instrument_entries(),
        f.CHANNELS: site.channel_entries(),
        f.RECEIPT_KEYS: [gateway.receipt_key.cose_key],
        f.CLOCK_KEYS: [gateway.clock_key.cose_key],
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hil_tests.over_ethernet", description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path, help="the .elf of boards/nucleo_f429zi")
    parser.add_argument("--tap", default="cm0", help="its interface on this host")
    parser.add_argument("--flash", type=Path, help="what its chip holds at first; erased unless given")
    parser.add_argument("--tls", action="store_true", help="the broker has a certificate, and the meter its CA's")
    parser.add_argument("--output", type=Path, default=PROJECT / "build" / "hil" / "ethernet")
    options = parser.parse_args(arguments)
    folder: Path = options.output.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    content = b"\xff" * FLASH_BYTES if options.flash is None else options.flash.read_bytes()
    ca = broker_certificate.make(folder, BROKER_NAME) if options.tls else None
    with network(folder, options.tap, options.tls):
        run(folder, options.image.resolve(), content, options.tap, ca)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
