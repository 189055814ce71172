"""A network line between two processes, which can be slow, cut, or lead elsewhere.

All lines and callers of a test share one event loop, in a thread of its own, so that twenty of them cost a test's
process next to nothing.
"""

import asyncio
import contextlib
import functools
import socket
import threading


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop of this process."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True, name="lines and callers").start()
    return made


def in_loop(coroutine, seconds: float = 10.0):
    """What a coroutine returns there."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(seconds)


class Line:
    """A port whose connections lead to another one.

    A cut line is as silent as a pulled cable: connections stay, and what is said on them arrives when the line is
    mended, since TCP says it again. A broken one resets its connections and takes none.
    """

    def __init__(self, to: int, delay: float = 0.0, edit=None):
        # Seconds that a round trip takes longer.
        self.to, self.delay = to, delay
        # What becomes of the bytes that come back, for a peer that is to seem another one.
        self.edit = edit
        # Bytes there, and back.
        self.carried = [0, 0]
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.connections: set[asyncio.StreamWriter] = set()
        in_loop(self.open())

    async def open(self) -> None:
        self.whole = asyncio.Event()
        self.whole.set()
        self.server = await asyncio.start_server(self.connect, sock=self.listener)

    # === what befalls it ===

    def cut(self) -> None:
        loop().call_soon_threadsafe(self.whole.clear)

    def mend(self) -> None:
        loop().call_soon_threadsafe(self.whole.set)

    @contextlib.contextmanager
    def is_cut(self):
        self.cut()
        yield
        self.mend()

    def reset(self) -> None:
        """Its connections break, and new ones are taken as before."""
        in_loop(self.abort())

    def lead_to(self, port: int) -> None:
        """It leads elsewhere, as an address does after a failover."""
        self.to = port
        self.reset()

    def close(self) -> None:
        """Nobody listens any more."""
        loop().call_soon_threadsafe(self.server.close)
        self.reset()

    async def abort(self) -> None:
        for writer in self.connections:
            writer.transport.abort()

    # === its connections ===

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.whole.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self.connections |= ends
        try:
            await asyncio.gather(self.carry(0, reader, far_writer), self.carry(1, far_reader, writer))
        except OSError:
            pass
        finally:
            self.connections -= ends
            for end in ends:
                end.transport.abort()

    async def carry(self, way: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of a connection. Reading goes on while what was read is on its way."""
        under_way: asyncio.Queue = asyncio.Queue(maxsize=1000)

        async def read() -> None:
            data = b"..."
            while data:
                try:
                    data = await reader.read(65536)
                except OSError:
                    data = None
                await under_way.put((loop().time() + self.delay / 2, data))

        reading = asyncio.ensure_future(read())
        try:
            while True:
                due, data = await under_way.get()
                if (early := due - loop().time()) > 0:
                    await asyncio.sleep(early)
                await self.whole.wait()
                if data is None:
                    raise ConnectionResetError
                if not data:
                    writer.write_eof()
                    return
                self.carried[way] += len(data)
                writer.write(self.edit(data) if way and self.edit else data)
                await writer.drain()
        finally:
            reading.cancel()
