*** Settings ***
Documentation       Instruments that are not Modbus, of four protocols on one line: what each shows is what is sealed, to
...                 the last digit.
Resource            keywords/meter.resource
Suite Setup         Meter Measures All Serial Kinds
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
An Electricity Meter Of DL/T 645
    Set Instrument Value    electricity meter    active_energy_import    12345678
    Set Instrument Value    electricity meter    active_power    -123456
    Set Instrument Value    electricity meter    power_factor    -987
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[energy]    12345678
    Mean Should Be    ${readings}[power]    -123456
    Mean Should Be    ${readings}[power factor]    -987

A Heat Meter On M-Bus
    [Documentation]    A watt-hour is 36 units of heat: 3.6 kJ in units of 100 J.
    Set Instrument Value    heat meter    heat    44442000
    Set Instrument Value    heat meter    volume    7654321
    Set Instrument Value    heat meter    flow_temperature    71200
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[heat]    44442000
    Register Should Be    ${readings}[heat volume]    7654321
    Mean Should Be    ${readings}[flow temperature]    71200

A Water Meter On M-Bus
    Set Instrument Value    water meter    volume    98765432
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[water volume]    98765432

A Water Meter Of CJ/T 188
    Set Instrument Value    household meter    volume    55667700
    ${readings} =    Wait For Readings
    Register Should Be    ${readings}[household volume]    55667700

A CO2 Sensor With A UART
    Set Instrument Value    CO2 sensor    co2_fraction    608
    ${readings} =    Wait For Readings
    Mean Should Be    ${readings}[CO2]    608

Another CO2 Sensor With A UART
    Set Instrument Value    other CO2 sensor    co2_fraction    433
    ${readings} =    Wait For Readings
    Mean Should Be    ${readings}[other CO2]    433


*** Keywords ***
Meter Measures All Serial Kinds
    Connect Instrument    electricity meter    dlt645    serial0    unit=12345678    serial=000012345678
    Measure    energy    electricity meter    active_energy_import    kind=register
    Measure    power    electricity meter    active_power
    Measure    power factor    electricity meter    power_factor
    Connect Instrument    heat meter    mbus_heat    serial0    unit=1
    Measure    heat    heat meter    heat    kind=register
    Measure    heat volume    heat meter    volume    kind=register
    Measure    flow temperature    heat meter    flow_temperature
    ${record} =    Options Of Kind    mbus_water
    Connect Instrument    water meter    mbus_water    serial0    unit=2    options=${record}
    Measure    water volume    water meter    volume    kind=register
    Connect Instrument    household meter    cjt188_water    serial0    unit=0
    ...    options=${{ [["address", "78330011223344"]] }}
    Measure    household volume    household meter    volume    kind=register
    Connect Instrument    CO2 sensor    mhz19    serial0
    Measure    CO2    CO2 sensor    co2_fraction
    Connect Instrument    other CO2 sensor    k30    serial0    unit=254
    Measure    other CO2    other CO2 sensor    co2_fraction
    # One that shows nothing yet answers so, and that is no reading.
    Set Instrument Value    electricity meter    active_energy_import    1000
    Set Instrument Value    electricity meter    active_power    1000
    Set Instrument Value    electricity meter    power_factor    1000
    Set Instrument Value    heat meter    heat    36
    Set Instrument Value    heat meter    volume    1000
    Set Instrument Value    heat meter    flow_temperature    60000
    Set Instrument Value    water meter    volume    1000
    Set Instrument Value    household meter    volume    1000
    Set Instrument Value    CO2 sensor    co2_fraction    400
    Set Instrument Value    other CO2 sensor    co2_fraction    400
    Meter Is In Operation    interval=2 s    sample_period=2 s
