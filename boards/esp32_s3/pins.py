"""GPIO numbers; wiring.toml says what is at their other ends."""

RS485_TX = 17
RS485_RX = 18
RS485_ENABLE = 16
SENSOR_SCL = 9
SENSOR_SDA = 8
ELEMENT_SCL = 5
ELEMENT_SDA = 4
PULSE0 = 6
PULSE1 = 7
