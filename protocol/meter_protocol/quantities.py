"""The quantities of quantity_codes as objects, by code and by name: for those who have the memory."""

from meter_protocol.quantity_codes import ROWS


class Quantity:
    def __init__(self, code: int, name: str, ucum: str, dsi: str, obis: "str | None") -> None:
        self.code = code
        self.name = name
        self.ucum = ucum
        self.dsi = dsi
        self.obis = obis


QUANTITIES = tuple([Quantity(code, name, ucum, dsi, obis) for code, name, ucum, dsi, obis in ROWS])

BY_CODE = {quantity.code: quantity for quantity in QUANTITIES}
BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}
