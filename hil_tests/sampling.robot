*** Settings ***
Documentation       What the instruments show is what is sealed, to the last digit.
...                 The energy meter sits behind current transformers of ratio 40.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
An Energy Register Is Sealed Through Its Ratio
    Set Instrument Value    energy meter    active_energy_import    123456789
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=4938271560

A Constant CO2 Fraction Is Its Own Mean
    Set Instrument Value    CO2 sensor    co2_fraction    437
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]
    ...    status=good    n=2    expected=2    mean=437    s=0    minimum=437    maximum=437

Mean And Deviation Of A Varying CO2 Fraction Are Rounded To The Last Digit
    [Documentation]    Mean 402.5, to the even neighbour; s = sqrt(2 x 2.5^2) = 3.54.
    Set Instrument Value    CO2 sensor    co2_fraction    400    405
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]
    ...    status=good    n=2    expected=2    mean=402    s=4    minimum=400    maximum=405

A Value That The Sensor Cannot Mean Is No Value
    [Documentation]    The sensor shows 0 ppm while it warms up.
    Set Instrument Value    CO2 sensor    co2_fraction    0
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]    status=implausible, missed samples    n=0    expected=2

A Register That Wraps Goes On Counting
    [Documentation]    Twelve digits: after 999999999990 the register shows 10, the total has counted 20 more.
    Set Instrument Value    energy meter    active_energy_import    999999999990
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=39999999999600
    Set Instrument Value    energy meter    active_energy_import    1000000000010
    ${reading} =    Wait For Energy Total    40000000000400
    Reading Should Be    ${reading}    status=wrapped    total=40000000000400

A Register That Jumps Back Makes No Quantity
    Set Instrument Value    energy meter    active_energy_import    7
    Wait For Sealed Message    register_discontinuity
    ...    channel=1    total_before=40000000000400    raw_before=10    raw_after=7
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40000000000400    raw=7
