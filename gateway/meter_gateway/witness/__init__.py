"""Gateway-witnessed meters: instruments that cannot sign are read here, and what they say is sealed here.

The rules are a board's own (meter_sampling), the parameter sets too. What is sealed goes the way of every meter's
bytes: into the inbox, verified, judged, stored, receipted. Nothing is believed because it came from inside.

    line, buses        how a driver's requests reach its instrument
    instrument_reader  one instrument that no meter has: the reference of a comparison
    chain              numbers and seals; goes on from what the store holds
    witnessed_meter    one meter: its sampling loop, its clock, its messages until they are receipted
    witnesses          all of them, as one listener
    enrolment          the key, and its place in the registry
"""
