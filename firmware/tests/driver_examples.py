"""Every driver as a parameter set may name it: (address, options), the first one as most sites have it."""

GAS_ROWS = [
    ["co2", "co2_fraction", 4, 10, "uint16", 0, 0, 50000],
    ["n2o", "n2o_fraction", 3, 20, "float32_low", -3, 0, 10**6],
    ["volume", "volume", 4, 12, "uint32", -3, 0, 999999999, 10**9, 10],
    ["condition", 4, 2, "uint16", 1, 7],
    ["identity", 4, 3, "uint16", 0x0C02],
    ["serial", 3, 200, "text4"],
]
LOOP_ROWS = [
    ["flue", "differential_pressure", 0, 100000, -1, 0, 10000],
    ["pitot", "differential_pressure", 3, 50000, -1, 0, 3750],
]
MBUS_ROWS = [
    ["record", "volume", "volume", -3, 10**8],
    ["record", "maximum_flow", "volume_flow", -3, 0, 1, 5],
    ["record", "heat", "heat", 3, 0, 0, 0, 2, 1],
]
FRONT_END_ROWS = [["max_power", 20000], ["wiring", "3p3w"], ["voltage_gain", 1, 2, 3], ["mains_hz", 60]]

EXAMPLES = {
    "atm90e32": [(0, [["max_power", 20000]]), (1, FRONT_END_ROWS)],
    "bme280": [(0x76, None)],
    "cjt188": [
        (0, None),
        (0, [["address", "78330011223344"]]),
        (0, [["type", 0x20], ["heat_unit", "kWh"], ["flow_decimals", 3]]),
    ],
    "current_loop": [(0x48, LOOP_ROWS)],
    "djsf1352": [(1, None), (1, [["energy_exponent", -1]])],
    "dlt645": [
        (161, None),
        (0, None),
        (0, [["address", "000000000161"], ["indications", "voltage_a", "active_energy_import", "current_a"]]),
    ],
    "ds18b20": [(0, [["rom", "280000075A1BFF73"]]), (0, None)],
    "energy64": [(1, None)],
    "k30": [(254, None)],
    "mbus": [(2, MBUS_ROWS), (254, None), (253, [["secondary", "12345678", "PAD", 1, 7]])],
    "mhz19": [(1, [["range", 2000]]), (1, None)],
    "pulse": [(0, [["energy", "active_energy_import", -3, 1000, 3, 30000, 30000, 10**6]])],
    "pzem004t": [(1, None)],
    "register_map": [(1, GAS_ROWS)],
    "scd30": [(0x61, [["ambient_pressure_hpa", 1013]]), (0x61, None)],
    "scd41": [(0x62, [["self_calibration", 1]]), (0x62, None)],
    "sdm630": [(1, None)],
    "sdp8xx": [(0x25, None)],
    "senseair_s8": [(254, None)],
    "tuf2000": [(1, None)],
}
