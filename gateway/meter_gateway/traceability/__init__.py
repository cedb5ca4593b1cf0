"""Is a reading traceable: the chain it came in, its time, its instrument's calibration, its operating point.

`assess_group` gives the findings of messages that verify.py has found authentic; `load_trust` reads what the
operator trusts; a `ChainState` per (meter, epoch) carries what the chain has taught from group to group.
Findings are facts. What a scheme makes of them is policy.py's.
"""

from meter_gateway.traceability.assess import assess_group
from meter_gateway.traceability.findings import FINDINGS
from meter_gateway.traceability.state import ChainState, StateError
from meter_gateway.traceability.trust import Trust, load_trust

__all__ = ["FINDINGS", "ChainState", "StateError", "Trust", "assess_group", "load_trust"]
