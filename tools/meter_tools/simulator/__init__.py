"""Simulated instruments: a real Modbus server (pymodbus) whose registers are computed when they are asked for.

    instruments    what each kind of instrument holds in which register
    register_map   an instrument made from a register map's data file
    trace          a measured CSV file as an instrument; trace_map says which column is what
    generator      a load, a room and a pipe that never were, physically consistent, for a demo without a trace
    faults         instruments that are silent, slow, garbled or unwilling
    server         the buses: Modbus TCP, RTU over TCP, RTU over a pty
    serial_*       instruments on lines that are not Modbus, byte by byte: DL/T 645, M-Bus, CJ/T 188, CO2 sensors
    chip_line      I2C and 1-Wire buses; i2c_* and onewire_* are the chips, byte by byte
    clock          real time, or the virtual time that a replay's meter writes to a file

`await serve(configuration)` runs them inside a process, `python -m meter_tools.simulator FILE` as one.

What they were checked against: the frames come from pymodbus, which is not ours; the register maps are the
makers' (docs/register-maps.md), and the published frames and register dumps there decode to the stated values.
Each of the serial_*, i2c_* and onewire_* files says what it was held against, or that it has no oracle.
No simulated instrument was compared with the real one on a bench.
"""

from meter_tools.simulator.configuration import Configuration, load_configuration
from meter_tools.simulator.faults import Fault
from meter_tools.simulator.server import Simulation, serve

__all__ = ["Configuration", "Fault", "Simulation", "load_configuration", "serve"]
