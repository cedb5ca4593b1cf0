"""The quality of stored data, channel by channel and day by day: pure counting (days, balances), and reading the
store (collect)."""
