*** Settings ***
Documentation       Parameters take effect exactly if the authority has signed them, and the chain says so.
Resource            keywords/meter.resource
Suite Setup         Power On And Wait For Boot
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
Without Parameters Nothing Is Measured
    Sleep    1500 ms
    Sealed Messages Should Number    readings    0

Parameters From A Stranger Are Refused
    Send Parameters    1 s    500 ms    signed_by=a stranger
    Wait For Sealed Message    parameters_refused    reason=signature_invalid
    Sealed Messages Should Number    parameters_applied    0

Parameters From The Authority Are Applied As They Were Signed
    ${parameters} =    Send Parameters    1 s    500 ms    version=2
    Wait For Sealed Message    parameters_applied    parameter_set=${parameters}
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40000

New Parameters Change The Interval
    Send Parameters    2 s    500 ms    version=3
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[CO2]
    ...    status=good    n=4    expected=4    mean=421    s=0    minimum=421    maximum=421
    Sealed Messages Should Number    parameters_applied    2

Older Parameters Change Nothing
    Send Parameters    1 s    500 ms    version=2
    Wait For Sealed Messages    2
    Sealed Messages Should Number    parameters_applied    2

Parameters Survive A Power Cut
    Power Fails And Returns
    Wait For Boot
    Wait For Readings
    Sealed Messages Should Number    parameters_applied    2


*** Keywords ***
Power On And Wait For Boot
    Power On Meter
    Wait For Boot
