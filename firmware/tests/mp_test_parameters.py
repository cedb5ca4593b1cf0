"""Which sealed sets this firmware applies, and why it refuses the others."""

from app_bench import AUTHORITY, METER, STRANGER, channel, instrument, parameter_set, set_fields

from meter_firmware import parameters
from meter_firmware.sensors import driver_class
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError
from meter_sampling.metering import MeanChannel, RegisterChannel
from meter_sampling.parameters import make_channels, same_registers

KEYS = [AUTHORITY.cose_key]
KIND_OF_BUS = {"bus0": "modbus", "bus1": "pulse"}.get


def _reason(version=2, current=1, sealer=AUTHORITY, **other):
    try:
        parameters.open_set(parameter_set(version, sealer, **other), KEYS, METER.thumbprint, current, KIND_OF_BUS)
    except ProtocolError as error:
        return error.reason
    return None


def _mapped(quantity="co2_fraction", lowest=0, highest=10**9):
    rows = [["gas", quantity, 3, 0, "int64", 0, lowest, highest]]
    return instrument(driver="register_map", serial=None, options=rows)


def _gas(**other):
    return channel(1, indication="gas", quantity="co2_fraction", kind=f.CHANNEL_MEAN, modulus=None, **other)


def same(before, after, number):
    return number in same_registers(before, after, driver_class)


def test_a_set_that_fits_is_opened_whole():
    opened = parameters.open_set(parameter_set(2), KEYS, METER.thumbprint, 1, KIND_OF_BUS)
    assert opened.fields[f.SET_VERSION] == 2
    assert opened.raw == parameter_set(2)
    assert len(opened.hash) == 32
    assert _reason(instruments=[_mapped()], channels=[_gas()]) is None


def test_only_the_authority_and_only_upwards():
    assert _reason(sealer=STRANGER) == "unknown_key"
    assert _reason(sealer=METER) == "unknown_key"
    assert _reason(meter=STRANGER.thumbprint) == "not_for_us"
    assert _reason(version=1) == "parameters_not_newer"
    assert _reason(version=0) == "parameters_not_newer"
    assert _reason(version=0, current=None) is None


def test_every_content_that_does_not_fit_has_its_own_reason():
    unused = instrument(driver="abacus", serial=None)
    slow = instrument(driver="scd41", address=0x62)
    for reason, other in (
        ("parameters_sample_period", {"period_ms": 7000}),
        ("parameters_sample_period", {"period_ms": 120000}),
        ("parameters_sample_period", {"period_ms": 2500, "instruments": [slow]}),
        ("parameters_no_channel", {"channels": []}),
        ("parameters_driver", {"instruments": [instrument(driver="abacus")]}),
        ("parameters_driver", {"instruments": [instrument(), unused]}),
        ("parameters_driver", {"instruments": [instrument(options=[["a", 1]])]}),
        ("parameters_driver", {"instruments": [instrument(driver="register_map")]}),
        ("parameters_address", {"instruments": [instrument(address=0)]}),
        ("parameters_address", {"instruments": [instrument(address=256)]}),
        ("parameters_address", {"instruments": [instrument(), instrument(address=2**32 - 1)]}),
        ("parameters_indication", {"channels": [channel(indication="entropy")]}),
        ("parameters_quantity", {"channels": [channel(quantity="volume")]}),
        ("parameters_quantity", {"instruments": [_mapped("phlogiston")], "channels": [_gas()]}),
        ("parameters_scale", {"channels": [channel(exponent=3)]}),
        ("parameters_scale", {"channels": [channel(modulus=10**7)]}),
        ("parameters_scale", {"channels": [channel(modulus=None)]}),
        ("parameters_kind", {"instruments": [_mapped()], "channels": [_gas_register()]}),
        ("parameters_ratio", {"channels": [channel(ratio=10**9)]}),
        ("parameters_ratio", {"instruments": [_mapped(highest=2**60)], "channels": [_gas(ratio=3)]}),
        ("parameters_ratio", {"instruments": [_mapped(lowest=-(2**62))], "channels": [_gas()]}),
    ):
        assert _reason(**other) == reason, (reason, other)


def _gas_register():
    entry = _gas()
    entry[f.CHANNEL_KIND] = f.CHANNEL_REGISTER
    return entry


def test_the_largest_ratio_that_is_allowed_cannot_overflow_a_message():
    # 10^12 x 2,305,843 is just below 2^61.
    assert _reason(channels=[channel(ratio=2305843)]) is None
    assert _reason(channels=[channel(ratio=2305844)]) == "parameters_ratio"


def test_a_register_stays_itself_under_another_ratio_and_on_another_bus():
    before = set_fields(1)
    assert same(before, set_fields(2), 1)
    assert same(before, set_fields(2, channels=[channel(ratio=80)]), 1)
    assert same(before, set_fields(2, instruments=[instrument(bus="bus1", address=9)]), 1)
    assert same(
        before, set_fields(2, instruments=[instrument(serial="B"), instrument()], channels=[channel(index=1)]), 1
    )


def test_another_instrument_or_quantity_is_another_register():
    before = set_fields(1)
    assert not same(None, before, 1)
    assert not same(before, None, 1)
    assert not same(before, before, 2)
    assert not same(before, set_fields(2, instruments=[instrument(serial="Z9")]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(driver="pzem004t")]), 1)
    lagging = channel(indication="reactive_energy_lagging", quantity="reactive_energy_lagging")
    assert not same(before, set_fields(2, channels=[lagging]), 1)
    assert not same(before, set_fields(2, channels=[channel(kind=f.CHANNEL_MEAN)]), 1)


def test_without_a_serial_number_the_place_decides():
    before = set_fields(1, instruments=[instrument(serial=None)])
    assert same(before, set_fields(2, instruments=[instrument(serial=None)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None, address=2)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None, bus="bus1")]), 1)


def _optioned(driver, options, **other):
    return set_fields(1, instruments=[instrument(driver=driver, serial=None, address=0, options=options)], **other)


def test_options_that_name_another_meter_name_another_register():
    for driver, numbers in (
        ("dlt645", ("000000000001", "000000000002")),
        ("cjt188", ("78330011223344", "78330011223345")),
    ):
        first, second = [_optioned(driver, [["address", number]]) for number in numbers]
        assert same(first, first, 1)
        assert not same(first, second, 1)
        assert not same(_optioned(driver, None), first, 1)
        for fields in (first, second):
            fields[f.INSTRUMENTS][0][f.INSTRUMENT_SERIAL] = numbers[0]
        assert same(first, second, 1)
    assert not same(_optioned("cjt188", [["type", 0x10]]), _optioned("cjt188", [["type", 0x30]]), 1)
    first, second = [_optioned("mbus", [["secondary", number]]) for number in ("00000001", "00000002")]
    assert not same(first, second, 1)


def test_options_that_point_elsewhere_point_to_another_register():
    row = ["active_energy_import", "active_energy_import", 3, 0, "uint32", 0, 0, 10**9, 10**10, 1]
    before = _optioned("register_map", [row])
    for place, value in ((2, 4), (3, 2), (4, "uint32_low"), (9, 10)):
        other = list(row)
        other[place] = value
        assert not same(before, _optioned("register_map", [other]), 1), place
    more = ["voltage", "voltage", 3, 9, "uint16", 0, 0, 300]
    assert same(before, _optioned("register_map", [more, row[:7] + [10**8] + row[8:]]), 1)

    def record(**other):
        cells = ["active_energy_import", "active_energy_import", 0, 10**12, 0]
        return _optioned("mbus", [cells + [0, other.get("tariff", 0), 0, -1]])

    assert same(record(), record(), 1)
    assert not same(record(), record(tariff=2), 1)


def test_options_that_say_how_leave_the_register_what_it_is():
    row = ["active_energy_import", "active_energy_import", 0, 7, 3, 10000, 10000, 36000]
    assert same(_optioned("pulse", [row]), _optioned("pulse", [row[:5] + [5000, 5000, 72000]]), 1)
    assert same(_optioned("dlt645", None), _optioned("dlt645", [["indications", "active_energy_import"]]), 1)


def test_a_set_whose_driver_this_software_does_not_have_is_compared_as_it_is_written():
    assert same(_optioned("abacus", [["beads", 10]]), _optioned("abacus", [["beads", 10]]), 1)
    assert not same(_optioned("abacus", [["beads", 10]]), _optioned("abacus", [["beads", 9]]), 1)


def test_channels_are_made_as_the_set_says():
    mean = channel(2, indication="active_power", quantity="active_power", kind=f.CHANNEL_MEAN, modulus=None)
    made = make_channels(set_fields(1, channels=[channel(1, ratio=80), mean]))
    assert isinstance(made[1], RegisterChannel)
    assert (made[1].ratio, made[1].modulus) == (80, 10**12)
    assert isinstance(made[2], MeanChannel)
