*** Settings ***
Documentation       Readings without a time are kept and say so; the clock is set by answered challenge and by nothing else.
Resource            keywords/meter.resource
Suite Setup         Meter Is Provisioned Without Time
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
Without Time Readings Are Relative
    ${readings} =    Wait For Readings    clock=relative
    Reading Should Be    ${readings}[energy]    status=good    total=40000
    Wait For Sealed Message    readings    clock_status=relative    clock_uncertainty_ms=none

A Time That Answers No Challenge Is Ignored
    Send Unasked Time Reply    ahead=1 h
    Wait For Sealed Messages    2
    Sealed Messages Should Number    clock_set    0

An Answered Challenge Sets The Clock Between Two Intervals
    Gateway Tells Time
    ${clock_set} =    Wait For Sealed Message    clock_set    clock_status=synchronised
    ${readings} =    Wait For Readings    clock=synchronised
    Reading Should Be    ${readings}[energy]    status=good    total=40000
    No Interval Should Contain The Step    ${clock_set}

The Same Answer Again Is Ignored
    Repeat Time Reply
    Wait For Sealed Messages    2
    Sealed Messages Should Number    clock_set    1


*** Keywords ***
Meter Is Provisioned Without Time
    Gateway Withholds Time
    Power On Meter
    Wait For Boot
    Send Parameters    1 s    500 ms
    Wait For Sealed Message    parameters_applied
    Wait For Time Requests    1
