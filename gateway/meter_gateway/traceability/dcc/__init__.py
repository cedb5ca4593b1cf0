"""PTB's Digital Calibration Certificate, XML of the releases 2.0 to 3.3, as the project's Certificate.

`read` gives the certificate that bytes describe; what may be believed about their signature is another question,
with its own answer (signature.py). Both are pure: the bytes, the anchors and the times are arguments.
"""

from meter_gateway.traceability.dcc.reader import Reading, read, read_tree
from meter_gateway.traceability.dcc.refused import DccRefused
from meter_gateway.traceability.dcc.results import Assignment, LeftOut

__all__ = ["Assignment", "DccRefused", "LeftOut", "Reading", "read", "read_tree"]
