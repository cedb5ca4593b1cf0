"""Loops that live and die together: whichever fails first ends all of them."""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Coroutine


class Session:
    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._reason: "Exception | None" = None

    def end(self, reason: Exception) -> None:
        """The first reason stays; later ones are its consequences."""
        if self._reason is None:
            self._reason = reason
            self._over.set()

    async def run(self, loops: "list[Coroutine[Any, Any, None]]") -> None:
        """Run the loops until one raises or `end` is called; raise that reason and leave no task behind."""
        tasks = [asyncio.create_task(self._guard(loop)) for loop in loops]
        try:
            await self._over.wait()
        finally:
            for task in tasks:
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
        if self._reason is not None:
            raise self._reason

    async def _guard(self, loop: "Coroutine[Any, Any, None]") -> None:
        try:
            await loop
        except Exception as reason:  # noqa: BLE001  handed to run, which raises it
            self.end(reason)
