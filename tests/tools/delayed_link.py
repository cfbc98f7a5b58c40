"""A link to a server that takes its time: each chunk arrives later, in both directions.

The delay is that of distance, not of a narrow line: chunks keep their order and their gaps.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter

CHUNK = 65_536


async def serve(host: str, port: int, to_port: int, delay_s: float) -> asyncio.Server:
    """Listen at `host` and pass everything on to `to_port` of the loopback, and back."""

    async def meet(near_in: StreamReader, near_out: StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection("127.0.0.1", to_port)
        await asyncio.gather(
            _carry(near_in, far_out, delay_s),
            _carry(far_in, near_out, delay_s),
            return_exceptions=True,
        )

    return await asyncio.start_server(meet, host, port)


def serve_for_ever(host: str, port: int, to_port: int, delay_s: float) -> None:
    async def run() -> None:
        async with await serve(host, port, to_port, delay_s) as server:
            await server.serve_forever()

    asyncio.run(run())


async def _carry(reader: StreamReader, writer: StreamWriter, delay_s: float) -> None:
    """Write what is read, each chunk `delay_s` after it came; the end travels as slowly."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        chunk = b" "
        while chunk:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            writer.write(chunk)
            await writer.drain()
        writer.close()

    arriving = asyncio.create_task(arrive())
    chunk = b" "
    while chunk:
        chunk = await reader.read(CHUNK)
        under_way.put_nowait((clock() + delay_s, chunk))
    await arriving
