"""Why a file is not taken as a digital calibration certificate, as a stable code with the place and the remedy."""

from meter_gateway.told import Told, entries, plain


class DccRefused(Told):
    """`reason` is a key below `dcc.` of texts.toml. `where` is an XPath into the file, or a word for the whole."""

    def __init__(self, reason: str, where: str = "", **values: object) -> None:
        super().__init__(f"dcc.{reason}", where=where or "/", **values)
        self.reason = reason
        self.where = where

    def __str__(self) -> str:
        """In English, for a log and for ConfigError; one line."""
        shown = {name: plain(str(value)) for name, value in self.values.items()}
        return entries()[self.key][0].format(**shown)
