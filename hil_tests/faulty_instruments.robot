*** Settings ***
Documentation       A faulty instrument costs its own readings: a status instead of a value, and nobody else's.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation    interval=2 s    sample_period=2 s
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
An Unplugged Instrument Has A Status And No Value
    Instrument Is Silent    energy meter
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]
    ...    status=no response, missed samples    carried_total=40000    carried_raw=1000
    CO2 Should Be Measured    ${readings}

What It Counted Meanwhile Is One Reading Over The Gap
    Set Instrument Value    energy meter    active_energy_import    1007
    Instrument Is Well    energy meter
    ${outage} =    Wait For Readings    kind=outage
    Reading Should Be    ${outage}[energy]    status=gap before    total=40280
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40280

An Instrument That Talks Nonsense Has A Status And No Value
    Instrument Talks Nonsense    CO2 sensor
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]    status=bad response, missed samples    n=0    expected=1
    Reading Should Be    ${readings}[energy]    status=good    total=40280

A Late Answer Is None
    [Documentation]    Half a second is what an instrument has; what comes later is not taken for the next answer.
    Instrument Is Well    CO2 sensor
    Instrument Is Slow    CO2 sensor    delay=800 ms
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]    status=no response, missed samples    n=0    expected=1
    Reading Should Be    ${readings}[energy]    status=good    total=40280

An Answer That Breaks Off Is None
    Instrument Is Well    CO2 sensor
    Instrument Breaks Off    CO2 sensor
    ${readings} =    Wait For Readings
    ${status} =    Set Variable    ${readings}[CO2][status]
    Should Contain    ${status}    response, missed samples
    Reading Should Be    ${readings}[energy]    status=good    total=40280

It Is Measured Again As Soon As It Is Well
    Instrument Is Well    CO2 sensor
    ${readings} =    Wait For Readings
    CO2 Should Be Measured    ${readings}


*** Keywords ***
CO2 Should Be Measured
    [Arguments]    ${readings}
    Reading Should Be    ${readings}[CO2]
    ...    status=good    n=1    expected=1    mean=421    minimum=421    maximum=421
