"""The official timelord with a VDF worker of its own; run with the official package's Python, CHIA_ROOT set.

The package has no `vdf_client` program. So three workers in this process speak its protocol to the timelord's own server
and compute real proofs with chiavdf, no faster than ITERATIONS_PER_SECOND so that a chain keeps an even pace.
"""
import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import chia.timelord.timelord
import chiavdf
from chia.server.start_service import async_run
from chia.util.config import load_config
from chia.util.default_root import resolve_root_path

try:
    from chia.timelord.start_timelord import async_main
except ModuleNotFoundError:  # its place up to release 2.5.4
    from chia.server.start_timelord import async_main

ROOT = resolve_root_path(override=None)
PACE = float(os.environ.get("ITERATIONS_PER_SECOND", "1024"))
THREADS = ThreadPoolExecutor(2)
# The protocol names a discriminant, chiavdf wants the challenge it was made of.
challenges = {}
make_discriminant = chia.timelord.timelord.create_discriminant


def remember(challenge, bits):
    discriminant = make_discriminant(challenge, bits)
    challenges[str(discriminant)] = bytes(challenge), int(bits)
    while len(challenges) > 100:
        challenges.pop(next(iter(challenges)))
    return discriminant


chia.timelord.timelord.create_discriminant = remember


async def work_for(reader, writer):
    """One chain, from the timelord's order to its word to stop."""
    if await reader.readexactly(1) != b"T":
        raise ValueError("the timelord speaks another protocol")
    challenge, bits = challenges[(await reader.readexactly(int(await reader.readexactly(3)))).decode()]
    start_form = await reader.readexactly((await reader.readexactly(1))[0])
    began = time.monotonic()
    writer.write(b"OK")

    async def prove(iterations):
        due = began + iterations / PACE
        # Proving takes time too: begin early, hand over when it is due.
        await asyncio.sleep(due - time.monotonic() - iterations / 60_000 - 0.1)
        proof = await asyncio.get_running_loop().run_in_executor(
            THREADS, chiavdf.prove, challenge, start_form, bits, iterations, ""
        )
        await asyncio.sleep(due - time.monotonic())
        y, witness = proof[:100], proof[100:200]
        body = iterations.to_bytes(8, "big") + len(y).to_bytes(8, "big") + y + b"\0" + witness
        writer.write(len(body.hex()).to_bytes(4, "big") + body.hex().encode())

    proofs = []
    try:
        while iterations := int(await reader.readexactly(int(await reader.readexactly(2)))):
            proofs.append(asyncio.create_task(prove(iterations)))
    finally:
        for proof in proofs:
            proof.cancel()
    writer.write(b"STOP")
    await writer.drain()
    await asyncio.wait_for(reader.readexactly(3), 10)


async def worker(port):
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await work_for(reader, writer)
            finally:
                writer.close()
        except (OSError, EOFError, asyncio.TimeoutError):
            await asyncio.sleep(0.2)


async def main():
    port = load_config(ROOT, "config.yaml")["timelord"]["vdf_server"]["port"]
    # Three chains, and as many workers ready for the next order.
    workers = [asyncio.create_task(worker(port)) for _ in range(6)]
    try:
        return await async_main(ROOT)
    finally:
        for task in workers:
            task.cancel()


if __name__ == "__main__":
    sys.exit(async_run(main()))
