"""GPIO numbers; wiring.toml says what is at their other ends."""

RS485_TX = 7
RS485_RX = 6
RS485_ENABLE = 10
SENSOR_SCL = 1
SENSOR_SDA = 0
ELEMENT_SCL = 5
ELEMENT_SDA = 4
PULSE0 = 3
