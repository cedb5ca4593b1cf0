"""Buses: how a driver's requests reach its instrument and the answers come back.

    chip_bus         what i2c and onewire have in common
    i2c, onewire     chips that are called by their address
    spi              chips that a board selects one by one
    pulse            contacts that are counted

Those over a byte stream are meter_sampling's (line_bus, serial_bus) and meter_firmware.modbus.

A bus object says by KIND which drivers it takes (meter_sampling.drivers.driver.BUSES). It knows nothing of
instruments: what a reply means, and whether it is one, is the driver's.
"""
