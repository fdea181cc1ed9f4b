"""A client for Pixelwall, written from PROTOCOL.md and CODEC.md alone.

    async with Client("http://127.0.0.1:8080") as wall:
        await wall.paint(10, 20, 5)
        print(wall.colour(10, 20), wall.stats)
"""
from .client import Client, ClosedForGood, Differs, GivenUp, PlaceError, Stats

__all__ = ["Client", "ClosedForGood", "Differs", "GivenUp", "PlaceError", "Stats"]
