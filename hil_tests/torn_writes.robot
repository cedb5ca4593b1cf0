*** Settings ***
Documentation       Power fails inside a write or erase of the flash: while a reading is appended, a receipt taken, parameters
...                 changed. Which operation, and after how many bytes of it, is counted from the moment that matters.
Resource            keywords/meter.resource
Suite Setup         Meter Measures Half Minutes
Suite Teardown      Chain Should Be Unbroken
Test Tags           torn


*** Test Cases ***
While A Reading Is Appended
    Gateway Withholds Receipts
    FOR    ${operation}    IN RANGE    4
        Power Will Fail In Flash Operation    ${operation}
        Let Time Pass    30 s    sealed=${False}
        Wait For Power Failure
        Meter Comes Back
        ${sealed} =    Readings Are Sealed Again
    END
    Power Fails And Returns
    Messages Should Come Again    ${sealed}
    Wait For Boot

While A Receipt Is Taken
    FOR    ${operation}    IN RANGE    3
        Gateway Withholds Receipts
        ${sealed} =    Readings Are Sealed Again
        Power Will Fail In Flash Operation    ${operation}
        Gateway Sends Receipts
        Send Receipt
        Let Time Pass    30 s    sealed=${False}
        Wait For Power Failure
        Meter Comes Back
        Readings Are Sealed Again
    END

While Parameters Are Changed
    [Documentation]    Either set may be in force afterwards, and never half of one: the authority's set, sent again,
    ...    leaves it in force once.
    FOR    ${operation}    IN    0    1    2    3    5    7
        Power Will Fail In Flash Operation    ${operation}
        ${parameters} =    Send Parameters    30 s    30 s
        Let Time Pass    30 s    sealed=${False}
        Wait For Power Failure
        Meter Comes Back
        Repeat Parameters
        Wait For Sealed Message    parameters_applied    parameter_set=${parameters}
        Sealed Messages Should Number    parameters_applied    1    parameter_set=${parameters}
        Readings Are Sealed Again
    END

At Random Moments
    ${parameters} =    Send Parameters    1 s    500 ms
    Wait For Sealed Message    parameters_applied    parameter_set=${parameters}
    FOR    ${_}    IN RANGE    6
        ${operation} =    Random Number    below=40
        Power Will Fail In Flash Operation    ${operation}
        Wait For Power Failure    timeout=60 s
        Meter Comes Back
    END
    Set Instrument Value    energy meter    active_energy_import    1234
    ${readings} =    Wait For Readings    timeout=1 min
    Reading Should Be    ${readings}[energy]    status=good    total=49360

Nothing Was Counted Twice
    Totals Should Never Decrease
    Sealed Messages Should Number    identity    1
    Sealed Messages Should Number    register_discontinuity    0


*** Keywords ***
Meter Measures Half Minutes
    Power On Meter
    Wait For Boot
    Send Parameters    30 s    30 s
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
    Let Time Pass    1 min

Meter Comes Back
    Power On Meter
    ${boot} =    Wait For Boot
    Wait For Sealed Message    clock_set    boot=${boot.named}[boot]

Readings Are Sealed Again
    Let Time Pass    1 min
    ${sealed} =    Newest Messages    1
    RETURN    ${sealed}
