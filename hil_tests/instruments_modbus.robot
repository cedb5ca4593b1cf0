*** Settings ***
Documentation       Instruments of every Modbus kind on one line: what each shows is what is sealed, to the last digit.
Resource            keywords/meter.resource
Suite Setup         Meter Measures All Modbus Kinds
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
A Single-Phase Energy Meter
    [Documentation]    PZEM-004T: watt-hours in seven digits, tenths of a volt, milliamperes, tenths of a watt.
    Set Instrument Value    small meter    active_energy_import    9876543
    Set Instrument Value    small meter    voltage    2301
    Set Instrument Value    small meter    current    12345
    Set Instrument Value    small meter    active_power    28399
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[small energy]    9876543
    Mean Should Be    ${readings}[small voltage]    2301
    Mean Should Be    ${readings}[small current]    12345
    Mean Should Be    ${readings}[small power]    28399

A Three-Phase Energy Meter
    [Documentation]    SDM630: IEEE 754 singles, converted exactly and rounded once.
    Set Instrument Value    three-phase meter    active_power    123456
    Set Instrument Value    three-phase meter    voltage_l2    23055
    Set Instrument Value    three-phase meter    active_energy_import    7654321
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[three-phase energy]    7654321
    Mean Should Be    ${readings}[three-phase power]    123456
    Mean Should Be    ${readings}[three-phase voltage]    23055

A Direct-Current Energy Meter
    [Documentation]    DJSF1352: what its moving decimal point still shows.
    Set Instrument Value    charging post    active_energy_import    4000000123
    Set Instrument Value    charging post    voltage    31999
    Set Instrument Value    charging post    current    -2500
    Set Instrument Value    charging post    active_power    -79998
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[post energy]    4000000123
    Mean Should Be    ${readings}[post voltage]    31999
    Mean Should Be    ${readings}[post current]    -2500
    Mean Should Be    ${readings}[post power]    -79990

A Flow Meter
    [Documentation]    TUF-2000: whole cubic metres and a fraction, two registers that are one reading.
    Set Instrument Value    flow meter    volume    123456789
    Set Instrument Value    flow meter    volume_flow    5910
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[volume]    123456789
    Mean Should Be    ${readings}[flow]    5910

A Gas Sensor
    Set Instrument Value    gas sensor    co2_fraction    437
    ${readings} =    Wait For Readings
    Mean Should Be    ${readings}[gas]    437


*** Keywords ***
Meter Measures All Modbus Kinds
    Connect Instrument    small meter    pzem004t    modbus0    unit=1
    Measure    small energy    small meter    active_energy_import    kind=register
    Measure    small voltage    small meter    voltage
    Measure    small current    small meter    current
    Measure    small power    small meter    active_power
    Connect Instrument    three-phase meter    sdm630    modbus0    unit=2
    Measure    three-phase energy    three-phase meter    active_energy_import    kind=register
    Measure    three-phase power    three-phase meter    active_power
    Measure    three-phase voltage    three-phase meter    voltage_l2
    Connect Instrument    charging post    djsf1352    modbus0    unit=3
    Measure    post energy    charging post    active_energy_import    kind=register
    Measure    post voltage    charging post    voltage
    Measure    post current    charging post    current
    Measure    post power    charging post    active_power
    Connect Instrument    flow meter    tuf2000    modbus0    unit=4
    Measure    volume    flow meter    volume    kind=register
    Measure    flow    flow meter    volume_flow
    Connect Instrument    gas sensor    senseair_s8    modbus0    unit=254
    Measure    gas    gas sensor    co2_fraction
    # One that shows nothing yet answers so, and that is no reading.
    FOR    ${indication}    IN    active_energy_import    voltage    current    active_power
        Set Instrument Value    small meter    ${indication}    1
        Set Instrument Value    charging post    ${indication}    1
    END
    FOR    ${indication}    IN    active_energy_import    active_power    voltage_l2
        Set Instrument Value    three-phase meter    ${indication}    1
    END
    Set Instrument Value    flow meter    volume    1
    Set Instrument Value    flow meter    volume_flow    1
    Set Instrument Value    gas sensor    co2_fraction    400
    Meter Is In Operation    interval=2 s    sample_period=2 s
