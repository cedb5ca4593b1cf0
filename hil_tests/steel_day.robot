*** Settings ***
Documentation       A day of a steel plant's measured quarter-hours: what the meter seals is what the plant used, to the
...                 last digit.
Resource            keywords/meter.resource
Suite Setup         Meter Is In The Steel Plant
Suite Teardown      Chain Should Be Unbroken


*** Variables ***
${TRACE}            steel/steel_2018_h1.csv


*** Test Cases ***
A Day Of Quarter Hours Is Sealed Exactly
    ${trace} =    Instrument Follows Trace    energy meter    ${CSV}    days=1
    Let Time Pass Until    ${trace.end_ms}
    Let Time Pass    30 min
    ${total} =    Total Of Trace    ${trace}    active_energy_import
    Wait For Energy Total    ${total}
    No Total Should Exceed    ${total}

Every Quarter Hour Is There And Joins The Next
    Intervals Should Join
    Totals Should Never Decrease
    Sealed Messages Should Number    register_discontinuity    0


*** Keywords ***
Meter Is In The Steel Plant
    ${CSV} =    Shared File    ${TRACE}
    Set Suite Variable    ${CSV}
    Connect Instrument    energy meter    energy64    modbus0
    Measure    energy    energy meter    active_energy_import    kind=register    ratio=10
    Set Instrument Value    energy meter    active_energy_import    0
    Power On Meter
    Wait For Boot
    Send Parameters    15 min    15 min
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
