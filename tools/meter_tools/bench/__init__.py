"""How many signed messages a gateway on this machine checks, judges, stores and receipts in a second.

`make bench` prints from one run, all on this machine: what OpenSSL verifies on all cores; what the gateway does
from framed bytes in the listener to commit and signed receipts; the ratio; the same through a broker; memory;
what a message costs when little and when much is stored; how long a lone message waits for its receipt.
"""
