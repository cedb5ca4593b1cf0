"""Balances between meters: what registers counted in each hour or day, whether it balances, and the verdicts that
change when it does not.

`counting.py` goes along one chain, `outcomes.py` holds what was counted against each other, `ledger.py` keeps both
up to the store (`tables.py`), `revising.py` revises the verdicts of the days on which something else came out.
"""
