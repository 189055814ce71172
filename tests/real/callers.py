"""Callers, cheap enough for a flood at each of ten replicas: all of them are tasks of one loop.

Each call carries a text of its own, by which it is found in the fake Slack's ledger.
"""

import asyncio
import itertools
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass

import aiohttp
from line import in_loop, loop

NUMBERS = itertools.count(1)


@dataclass
class Answer:
    """What came of a call; status 0 where the connection ended."""

    text: str
    start: float
    end: float
    status: int
    ok: bool
    said: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Callers:
    """Calls of one method at one replica, until they are told to stop.

    `at_once` calls are open at any time, each followed by the next; or `every` so many seconds one is made, however
    many are open. `calls` is how many there are, without end if it is left out.
    """

    def __init__(
        self, base_url, token, method: str, *, name: str, at_once: int = 0, every: float = 0.0,
        calls: int | None = None, arguments=None,
    ):  # fmt: skip
        # `base_url` is a function: a replica that was started again is at another address. So may be `token` and
        # `arguments`, of the call's number.
        self.base_url, self.token, self.method, self.name = base_url, token, method, name
        self.arguments = arguments or (lambda number: {})
        self.endless = calls is None
        self.left = itertools.count() if calls is None else iter(range(calls))
        self.answers: list[Answer] = []
        self.open: dict[str, float] = {}
        self.over = False
        self.running = asyncio.run_coroutine_threadsafe(self.run(at_once, every), loop())

    async def run(self, at_once: int, every: float) -> None:
        timeout = aiohttp.ClientTimeout(total=120)
        # No two of them behind each other, and none that is kept for a replica that is gone.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            if every:
                await self.make_every(session, every)
            else:
                await asyncio.gather(*(self.one_after_the_other(session) for _ in range(at_once)))

    async def one_after_the_other(self, session: aiohttp.ClientSession) -> None:
        for number in self.left:
            if self.over:
                return
            answer = await self.call(session, number)
            if answer.status == 0:
                await asyncio.sleep(0.05)

    async def make_every(self, session: aiohttp.ClientSession, every: float) -> None:
        start, tasks = loop().time(), []
        for nth, number in enumerate(self.left):
            await asyncio.sleep(max(0.0, start + nth * every - loop().time()))
            if self.over:
                break
            tasks.append(asyncio.ensure_future(self.call(session, number)))
        await asyncio.gather(*tasks)

    async def call(self, session: aiohttp.ClientSession, number: int) -> Answer:
        text = f"{self.name}-{next(NUMBERS)}"
        # Without a User-Agent that slackwater knows: it is held as long as its lane says.
        token = self.token(number) if callable(self.token) else self.token
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "replicas/1.0"}
        self.open[text] = start = time.monotonic()
        try:
            async with session.post(f"{self.base_url()}{self.method}", headers=headers,
                                    data={"text": text} | self.arguments(number)) as response:  # fmt: skip
                said = await response.text()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            status, said = 0, repr(error)
        del self.open[text]
        ok = status == 200 and '"ok":true' in said.replace(" ", "")
        answer = Answer(text, start, time.monotonic(), status, ok, "" if ok else said[:900])
        self.answers.append(answer)
        return answer

    def stop(self) -> None:
        """No more calls than were asked for; those that are open go on."""
        self.over = self.endless

    def finish(self, seconds: float = 60.0) -> list[Answer]:
        """All answers, once every call has one; of callers that were dropped, those that there were."""
        try:
            self.running.result(seconds)
        except CancelledError:
            pass
        except TimeoutError:
            raise AssertionError(f"{self.name}: within {seconds} s no answer to {len(self.open)} calls: "
                                 f"{sorted(self.open)[:5]}") from None  # fmt: skip
        return self.answers

    def drop(self) -> None:
        """The callers are gone, with the calls that are open."""
        self.running.cancel()
        in_loop(asyncio.sleep(0))
