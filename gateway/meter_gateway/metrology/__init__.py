"""The metrologist's arithmetic: uncertainty, conformity, comparison, drift and recalibration intervals.

Pure functions of numbers: no I/O, no clock, and randomness is an argument. Floats are right here, because an
uncertainty is an estimate; values that are signed or summed stay integers and decimals elsewhere. Each formula
names its clause, and docs/metrology.md lists which published number each of them reproduces.
"""
