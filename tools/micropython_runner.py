"""Runs on MicroPython: loads one test file and runs its functions, one request line from standard input each.

Arguments: a mark that no test prints, and the module's name. A request is `plain NAME` or `async NAME`; the
answer is whatever the function prints, then the mark and a verdict. The collector in conftest.py asks.
"""

import asyncio
import gc
import sys


def attempt(action):
    """The action's verdict; a failure's traceback is printed."""
    try:
        action()
    except BaseException as failure:  # noqa: BLE001  a SystemExit or KeyboardInterrupt in a test is a failure too
        sys.print_exception(failure)
        return "failed"
    return "passed"


def main(mark, module_name):
    def run_test():
        result = getattr(sys.modules[module_name], name)()
        if kind == "async":
            asyncio.run(result)

    print(mark, attempt(lambda: __import__(module_name)))
    for line in sys.stdin:
        kind, name = line.split()
        print(mark, attempt(run_test))
        # What a failed test left scheduled must not run inside the next one.
        asyncio.new_event_loop()
        gc.collect()


# This script's own folder is no part of what a board finds on its path.
del sys.path[0]
main(sys.argv[1], sys.argv[2])
