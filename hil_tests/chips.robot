*** Settings ***
Documentation       Sensors on I2C and inputs of the converter, on MicroPython's own image of the NUCLEO-F429ZI in
...                 Renode: what a chip measures is what is sealed, to the last digit.
Library             hil_tests.keywords.chips.Chips    ${NUCLEO_IMAGE}
Suite Setup         Board Measures
Test Tags           renode    long


*** Variables ***
${NUCLEO_IMAGE}     %{NUCLEO_IMAGE=}


*** Test Cases ***
An SCD30 Is Sealed As It Measures
    Mean Should Be    ${READINGS}    SCD30 CO2    421500
    Mean Should Be    ${READINGS}    SCD30 temperature    23250
    Mean Should Be    ${READINGS}    SCD30 humidity    45125

An SCD41 Is Sealed As It Measures
    [Documentation]    By its data sheet: 66.5 of 175 K are 24903 of 65535, which is 21.499 degC.
    Mean Should Be    ${READINGS}    SCD41 CO2    857
    Mean Should Be    ${READINGS}    SCD41 temperature    21499
    Mean Should Be    ${READINGS}    SCD41 humidity    40000

A BME280 Is Sealed As It Measures
    [Documentation]    Renode's model of 25 degC and 60 %: Zephyr's driver reads 25.0 and 60.231445 there.
    Mean Should Be    ${READINGS}    BME280 temperature    2500
    Mean Should Be    ${READINGS}    BME280 humidity    60231

Inputs Of The Converter Keep Apart
    Analogue Inputs Should Read    19748    65535

What Changes Is Sealed Anew
    Set Chip    scd30    Co2Ppm    39999.5
    Set Chip    scd41    Co2Ppm    40000
    Set Chip    scd41    TemperatureCelsius    -10
    Set Chip    bme280    Temperature    -5
    Set Analogue Input    3    0
    ${readings} =    Wait For Sealed Readings
    Mean Should Be    ${readings}    SCD30 CO2    39999500
    Mean Should Be    ${readings}    SCD41 CO2    40000
    Mean Should Be    ${readings}    SCD41 temperature    -10000
    Mean Should Be    ${readings}    BME280 temperature    -500
    Analogue Inputs Should Read    0    65535


*** Keywords ***
Board Measures
    Power On Nucleo
    Set Chip    scd30    Co2Ppm    421.5
    Set Chip    scd30    TemperatureCelsius    23.25
    Set Chip    scd30    RelativeHumidityPercent    45.125
    Set Chip    scd41    Co2Ppm    857
    Set Chip    scd41    TemperatureCelsius    21.5
    Set Chip    scd41    RelativeHumidityPercent    40
    Set Chip    bme280    Temperature    25
    Set Chip    bme280    Humidity    60
    Set Chip    bme280    Pressure    100
    Set Analogue Input    3    1234
    Set Analogue Input    10    4095
    ${readings} =    Wait For Sealed Readings
    Set Suite Variable    ${READINGS}    ${readings}
