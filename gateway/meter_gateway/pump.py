"""From the inbox through ingest, group after group, whatever the disk does.

While one group is being committed the next gathers in the inbox, and its signatures are checked meanwhile; a
lone message goes through at once. If the store is unavailable, the groups are kept and tried again at growing
distances: nothing is answered until it is durable. What cannot be kept for lack of room is dropped by the
inbox, and comes again.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

from meter_gateway import backoff
from meter_gateway.ingest import Begun, Ingest
from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import GatewayTime, Outcome, Received
from meter_gateway.store import StoreUnavailable

GROUP_MESSAGES = 4096
"""The most that one commit takes: its fixed costs vanish in it, the runs that are judged together are long, and it
ends within a fraction of a second."""

LONGEST_RETRY_S = 5.0

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class UnderWay(NamedTuple):
    """A group between its begin and its commit."""

    group: Sequence[Received]
    begun: Begun


class Pump:
    """`thread` runs one thing at a time; `deliver` gets each outcome on the event loop."""

    def __init__(
        self,
        inbox: Inbox,
        ingest: Ingest,
        now: Callable[[], GatewayTime],
        thread: Executor,
        deliver: Callable[[Outcome], None],
    ) -> None:
        self._inbox = inbox
        self._ingest = ingest
        self._now = now
        self._thread = thread
        self._deliver = deliver
        self._kept: list[Sequence[Received]] = []
        self._restart_waits()
        self.trouble: str | None = None
        """Why nothing can be stored at the moment, in words."""
        self.given_up = 0
        """Payloads on which this program failed."""
        self.idle = asyncio.Event()
        """Set while everything that came in is committed and answered."""

    async def run(self) -> None:
        under_way: UnderWay | None = None
        while True:
            if self._kept:
                await self._try_again()
                continue
            group = await self._next_group(is_busy=under_way is not None)
            try:
                started, outcome = await self._call(self._step, group, under_way)
            except StoreUnavailable as error:
                self._keep(under_way, group)
                under_way = None
                self._say_unavailable(error)
            except Exception:  # noqa: BLE001 - logged, and the payload at fault is singled out
                # A mistake of ours must cost the payload that shows it, not the gateway.
                _log.exception("a group failed; its payloads are tried one by one")
                self._keep(under_way, group)
                under_way = None
            else:
                if outcome is not None:
                    self._finished(outcome)
                under_way = started

    async def _try_again(self) -> None:
        """The oldest kept group, begun and finished in one go."""
        group = self._kept[0]
        try:
            outcome = await self._call(lambda: self._ingest.process(group, self._now()))
        except StoreUnavailable as error:
            self._say_unavailable(error)
            await asyncio.sleep(next(self._waits))
        except Exception:  # noqa: BLE001 - logged
            del self._kept[0]
            if len(group) > 1:
                self._kept = [[received] for received in group] + self._kept
            else:
                self.given_up += 1
                _log.exception("a payload from %s is given up", group[0].peer)
        else:
            del self._kept[0]
            self._finished(outcome)

    async def _next_group(self, is_busy: bool) -> Sequence[Received]:
        group = self._inbox.take_waiting(GROUP_MESSAGES)
        if not group and not is_busy:
            self.idle.set()
            group = await self._inbox.take(GROUP_MESSAGES)
            self.idle.clear()
        return group

    def _step(
        self, group: Sequence[Received], under_way: UnderWay | None
    ) -> tuple[UnderWay | None, Outcome | None]:
        """In the thread: begin one group, finish the one before."""
        started = UnderWay(group, self._ingest.begin(group)) if group else None
        outcome = None if under_way is None else self._ingest.finish(under_way.begun, self._now())
        return started, outcome

    def _keep(self, under_way: UnderWay | None, group: Sequence[Received]) -> None:
        groups = [group] if under_way is None else [under_way.group, group]
        self._kept = [kept for kept in groups if kept]

    def _finished(self, outcome: Outcome) -> None:
        if self.trouble is not None:
            _log.warning("the store works again; going on")
            self.trouble = None
        self._restart_waits()
        self._deliver(outcome)

    def _say_unavailable(self, error: StoreUnavailable) -> None:
        if self.trouble is None:
            _log.error("%s; until then nothing is receipted", error)
        self.trouble = str(error)

    def _restart_waits(self) -> None:
        self._waits = backoff.delays(random.uniform, longest_s=LONGEST_RETRY_S)

    async def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
