"""The command line: python -m pixelwall watch | place X Y COLOUR | verify | run."""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import sys
import time

from . import Client, ClosedForGood, Differs, GivenUp, PlaceError


def line(client: Client) -> str:
    seqs = " ".join(f"{i}:{s.seq}" for i, s in sorted(client.shards.items()))
    return f"{time.strftime('%H:%M:%S')} seqs {seqs} | " + " ".join(f"{k} {v}" for k, v in vars(client.stats).items())


async def print_stats(client: Client, every: float) -> None:
    while True:
        print(line(client), flush=True)
        await asyncio.sleep(every)


async def watch(args: argparse.Namespace) -> int:
    async with Client(args.server, args.token, paint=False, shards=args.shards, capabilities=int(not args.rice)) as client:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(print_stats(client, args.every), args.seconds)
        print(line(client))
    return 0


async def place(args: argparse.Namespace) -> int:
    async with Client(args.server, args.token) as client:
        placed = await client.paint(args.x, args.y, args.colour)
        await client.until(lambda: client.shards[placed.shard].seq >= placed.seq, 30)
        print(f"placed: shard {placed.shard} seq {placed.seq}; the copy has colour {client.colour(args.x, args.y)}")
    return 0


async def verify(args: argparse.Namespace) -> int:
    async with Client(args.server, args.token, paint=False) as client:
        await asyncio.sleep(args.seconds)
        print("equal at seqs", await client.verify())
    return 0


async def run(args: argparse.Namespace) -> int:
    """Paint, be cut off every few seconds, and compare at the end."""
    async with Client(args.server, args.token, shards=args.shards, capabilities=int(not args.rice)) as client:
        assert client.config
        painted: list[asyncio.Task] = []
        printer = asyncio.create_task(print_stats(client, args.every))
        end = time.monotonic() + args.seconds
        next_cut, next_paint = time.monotonic() + args.cut, time.monotonic()
        while (now := time.monotonic()) < end:
            if args.cut and now >= next_cut:
                next_cut = now + random.uniform(0.5, 1.5) * args.cut
                client.cut()
            busy = sum(not task.done() for task in painted)
            if args.paint and now >= next_paint and busy < (1 if client.config.cooldown else 200):
                next_paint = max(next_paint + 1 / args.paint, now - 1)
                x, y = random.randrange(client.config.width), random.randrange(client.config.height)
                painted.append(asyncio.create_task(client.paint(x, y, random.randrange(len(client.config.colours)))))
            await asyncio.sleep(0.01)
        printer.cancel()
        answers = await asyncio.wait_for(asyncio.gather(*painted, return_exceptions=True), 60)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        for answer in answers:
            if not isinstance(answer, BaseException) and answer.shard in client.shards:
                await client.until(lambda: client.shards[answer.shard].seq >= answer.seq, 30)
        equal = await client.verify()
        print(line(client))
        print(f"painted {len(answers) - len(refused)}, refused for good {len(refused)} {refused[:3]}; byte-equal at seqs {equal}")
        return int(bool(refused))


def main() -> int:
    parser = argparse.ArgumentParser(prog="pixelwall", description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8080", help="%(default)s")
    parser.add_argument("--token", default=os.environ.get("PIXELWALL_TOKEN", ""), help="by default $PIXELWALL_TOKEN, else a new guest's")
    parser.add_argument("--log", default="WARNING", help="level: INFO shows cuts and refusals")
    commands = parser.add_subparsers(required=True)
    for command, what, seconds in ((watch, "stay in step and print what happens", None), (place, "place a pixel", None),
                                   (verify, "compare the own copy with HTTP", 3.0), (run, "paint, with cuts, and compare", 60.0)):
        sub = commands.add_parser(command.__name__, help=what)
        sub.set_defaults(command=command)
        if command is place:
            for name in ("x", "y", "colour"):
                sub.add_argument(name, type=int)
            continue
        sub.add_argument("--seconds", type=float, default=seconds)
        if command is not verify:
            sub.add_argument("--every", type=float, default=5, metavar="S", help="print each S seconds")
            sub.add_argument("--shards", type=int, nargs="+", help="by default all")
            sub.add_argument("--rice", action="store_true", help="do not announce the range coder")
        if command is run:
            sub.add_argument("--paint", type=float, default=5, metavar="R", help="pixels a second (%(default)s)")
            sub.add_argument("--cut", type=float, default=5, metavar="S", help="cut the connection about each S seconds, 0: never (%(default)s)")
    args = parser.parse_args()
    logging.basicConfig(level=args.log, format="%(asctime)s %(name)s %(message)s")
    try:
        return asyncio.run(args.command(args))
    except (Differs, ClosedForGood, GivenUp, PlaceError, asyncio.TimeoutError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
