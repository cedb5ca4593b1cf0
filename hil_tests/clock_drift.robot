*** Settings ***
Documentation       A clock that drifts is measured against the gateway's every six hours, and says what it is worth; a step
...                 lies between two intervals, never inside of one.
Resource            keywords/meter.resource
Suite Setup         Meter Measures Half Hours
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
The Drift Of A Good Clock Is Measured
    [Documentation]    A second in 21,600: 46.3 ppm, within the 50 ppm that a quartz is trusted with.
    Let Time Pass    3 hours
    Meter Clock Gains    1000 ms
    ${clock_set} =    Six Hours After The Last Setting
    Clock Should Have Gained    ${clock_set}    1000 ms
    Totals Should Never Decrease

A Clock That Is Worse Gets The Bound That It Deserves
    [Documentation]    Five seconds: a step, and 231 ppm that the stated uncertainty grows by from now on.
    ${before} =    Growth Of Uncertainty In Hours    3
    Meter Clock Gains    5 s
    ${clock_set} =    Six Hours After The Last Setting
    Clock Should Have Gained    ${clock_set}    5 s
    No Interval Should Contain The Step    ${clock_set}
    ${after} =    Growth Of Uncertainty In Hours    3
    Should Be True    ${after} > 3 * ${before}

A Gateway's Clock That Is Stepped Says Nothing About The Meter's Drift
    Set Clock    ahead=10 min
    ${clock_set} =    Six Hours After The Last Setting
    Should Be Equal    ${clock_set.named}[drift_ppb]    ${None}
    No Interval Should Contain The Step    ${clock_set}


*** Keywords ***
Meter Measures Half Hours
    Power On Meter
    Wait For Boot
    Send Parameters    30 min    30 min
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
    Let Time Pass    30 min

Six Hours After The Last Setting
    ${count} =    Count Of Sealed Messages    clock_set
    FOR    ${_}    IN RANGE    14
        ${now} =    Count Of Sealed Messages    clock_set
        IF    ${now} > ${count}    BREAK
        Let Time Pass    30 min
    END
    ${clock_set} =    Newest Sealed Message    clock_set
    # One more interval, so that there is one on either side.
    Let Time Pass    30 min
    RETURN    ${clock_set}

Growth Of Uncertainty In Hours
    [Documentation]    What it begins with is the round trip of the last setting: the host's business.
    [Arguments]    ${hours}
    ${before} =    Newest Uncertainty
    Let Time Pass    ${hours} hours
    ${after} =    Newest Uncertainty
    RETURN    ${{ $after - $before }}

Newest Uncertainty
    ${readings} =    Newest Sealed Message    readings
    RETURN    ${readings.named}[clock_uncertainty_ms]
