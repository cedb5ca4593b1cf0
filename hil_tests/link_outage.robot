*** Settings ***
Documentation       While the link is down the meter goes on; afterwards everything comes, in order, as it was sealed.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
What Was Sealed During An Outage Arrives In Order Afterwards
    Link Goes Down
    Wait For Requests    CO2 sensor    6
    Link Goes Up
    Backfill Should Be In Order    at_least=3
    Intervals Should Join
