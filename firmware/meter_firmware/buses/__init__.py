"""Buses: how a driver's requests reach its instrument and the answers come back.

    line_bus         what every bus over a byte stream has in common; modbus.py stands on it too
    serial_bus       any other protocol of requests and replies over a byte stream
    chip_bus         what i2c and onewire have in common
    i2c, onewire     chips that are called by their address
    spi              chips that a board selects one by one
    pulse            contacts that are counted

A bus object says by KIND which drivers it takes (meter_sampling.drivers.driver.BUSES). It knows nothing of
instruments: what a reply means, and whether it is one, is the driver's.
"""
