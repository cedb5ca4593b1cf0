*** Settings ***
Documentation       Nothing that was sealed is lost to a power cut, and nothing is counted twice after it.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
What Was Sealed And Not Receipted Is There After A Power Cut
    Gateway Withholds Receipts
    ${sealed} =    Wait For Sealed Messages    2
    Power Fails And Returns
    Messages Should Come Again    ${sealed}
    Wait For Boot

What Was Counted Without Power Is One Reading Over The Gap
    [Documentation]    The register was reset before, so only the chain knows what had been counted until then.
    Set Instrument Value    energy meter    active_energy_import    5
    Wait For Sealed Message    register_discontinuity    total_before=40000    raw_before=1000    raw_after=5
    Wait For Readings
    Cut Power
    Set Instrument Value    energy meter    active_energy_import    8
    Power On Meter
    ${outage} =    Wait For Readings    kind=outage
    Reading Should Be    ${outage}[energy]    status=gap before    total=40120    raw=8
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40120    raw=8

Power Cuts At Any Moment Leave The Chain Unbroken
    Gateway Sends Receipts
    FOR    ${_}    IN RANGE    6
        ${moment} =    Random Moment    within=1500 ms
        Sleep    ${moment}
        Power Fails And Returns
        Wait For Boot
    END
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40120    raw=8
    Totals Should Never Decrease
    Sealed Messages Should Number    identity    1
