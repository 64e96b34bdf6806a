"""Between workers that Ray Train keeps alive and the driver: a worker asks, and goes on when the driver has answered.

post = ray.remote(Post).options(num_cpus=0).remote()
ray.get(post.ask.remote(group, content))             # a worker: returns the driver's answer
ray.get(post.next.remote(1.0))                       # the driver: (number, content), or None when nobody asked
ray.get(post.answer.remote(number, answer))
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

Letter = tuple[int, dict[str, Any]]


class Post:
    """What workers ask, in order. Only the newest group of workers is heard: a host that was cut off may come back
    and train on, beside the workers that were started in its stead."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._letters: asyncio.Queue[Letter] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._group = ""

    async def join(self, group: str) -> None:
        """A group of workers has started; those before it are no longer heard."""
        self._group = group

    async def ask(self, group: str, content: dict[str, Any]) -> Any:
        """The driver's answer to `content`; RuntimeError for a group that another has followed."""
        if group != self._group:
            raise RuntimeError("these workers have been replaced by others")
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._letters.put((number, content))
        return await self._answers[number]

    async def next(self, seconds: float) -> Letter | None:
        """The next that was asked, waited for so long; None when nothing was."""
        try:
            return await asyncio.wait_for(self._letters.get(), seconds)
        except TimeoutError:
            return None

    async def answer(self, number: int, answer: Any) -> None:
        """Let the worker whose letter has this number go on."""
        self._answers.pop(number).set_result(answer)
