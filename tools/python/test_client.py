"""What the client does with answers, without a server; run with `python -m unittest`."""
import asyncio
import unittest

from pixelwall import wire
from pixelwall.client import Client, PlaceError


class Wire:
    """A connection that keeps the numbers of the placements it is given."""

    def __init__(self):
        self.numbers = []

    async def send(self, data):
        self.numbers.append(wire.decode(data).number)

    async def until(self, count):
        async def wait():
            while len(self.numbers) < count:
                await asyncio.sleep(0.001)
        await asyncio.wait_for(wait(), 20)


def refusal(code, number):
    return wire.encode(wire.Error(code, number, 1, wire.Allowance(0, 0, 0), ""))


class Unsure(unittest.IsolatedAsyncioTestCase):
    async def connect(self, wall, count):
        """A connection on which count placements go out."""
        wall._socket = Wire()
        work = asyncio.create_task(wall._place_all())
        self.addCleanup(work.cancel)
        await wall._socket.until(count)
        return work

    async def test_what_may_be_stored_is_asked_for_until_it_was_looked_up(self):
        wall = Client("http://test.invalid", "token")
        first = asyncio.create_task(wall.place(1, 1, 1))
        (await self.connect(wall, 1)).cancel()  # the answer is lost with the connection
        await self.connect(wall, 1)
        for count, code in enumerate((13, 14, 17), 2):
            wall._take(refusal(code, 1))
            await wall._socket.until(count)
        second = asyncio.create_task(wall.place(2, 2, 2))
        await wall._socket.until(5)
        self.assertEqual((wall._socket.numbers, wall.stats.resent), ([1, 1, 1, 1, 2], 1))
        wall._take(refusal(13, 2))  # it was sent once, so it is surely not stored
        with self.assertRaises(PlaceError):
            await second
        self.assertFalse(first.done())
        wall._take(wire.encode(wire.Placed(1, 0, 7, 0, wire.Allowance(0, 1, 0))))
        self.assertEqual((await first).seq, 7)


if __name__ == "__main__":
    unittest.main()
