"""A channel compared with a reference where both are: from two series of readings to a signed event.

The order of the files is that of a run: `sources` and `modbus_reference` read, `run_state` keeps, `series` and
`pairing` bring the two sides onto the same spans, `standard` says what certificates claim, `evaluation` judges,
`event` seals. What has a clock, a file or a line in it is `sources`, `modbus_reference` and `run_state`; the rest
is pure.
"""
