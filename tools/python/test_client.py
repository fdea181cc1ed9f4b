"""What the client does with answers, without a server; run with `python -m unittest`."""
import asyncio
import io
import json
import unittest
import urllib.error
from unittest import mock

from pixelwall import canvas, client, wire
from pixelwall.client import RESEND_SECONDS, Client, ClosedForGood, GivenUp, PlaceError, longest_wait


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


def init(canvas_id=1, width=3, allowance=(1, 1, 0)):
    config = wire.Config(1, width, 1, 4, 0, 0, 1, 1000, 0, [(0, 0, 0, ""), (255, 255, 255, "")])
    return wire.encode(wire.Init(1, canvas_id, 0, config, 5, "guest", wire.Allowance(*allowance), 0, 1, "", "/api/v1/canvas", [(0, 0)]))


def file(width, canvas_id=1):
    shards = {}
    for i in range((width + 511) // 512):
        across = min(512, width - 512 * i)
        shards[i] = canvas.Shard(i, across, 1, 4, bytearray(across), 0, 0)  # ids 0 and 1 lie beside each other
    return canvas.CanvasFile(canvas_id, width, 1, 4, shards)


class Unsure(unittest.IsolatedAsyncioTestCase):
    async def connect(self, wall, count, greeting=init()):
        """A connection on which count placements go out."""
        wall._socket = Wire()
        wall._greeted.clear()
        work = asyncio.create_task(wall._place_all())
        self.addCleanup(work.cancel)
        if greeting:
            wall._take(greeting)
        await wall._socket.until(count)
        return work

    async def left(self):
        """A client whose first placement was sent and not answered."""
        wall = Client("http://test.invalid", "token")
        first = asyncio.create_task(wall.place(1, 1, 1))
        (await self.connect(wall, 1)).cancel()
        return wall, first

    async def unknown(self, task):
        with self.assertRaises(GivenUp) as caught:
            await task
        self.assertTrue(caught.exception.maybe_stored)

    async def test_what_may_be_stored_is_asked_for_until_it_was_looked_up(self):
        wall, first = await self.left()
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

    async def test_nothing_is_sent_again_two_minutes_after_it_was_sent_first(self):
        wall, first = await self.left()
        wall._sent[1] -= RESEND_SECONDS + 1
        second = asyncio.create_task(wall.place(2, 2, 2))
        await asyncio.sleep(0)
        await self.connect(wall, 1)
        await self.unknown(first)
        self.assertEqual(wall._socket.numbers, [2])
        second.cancel()

    async def test_a_refusal_without_a_look_up_says_nothing_of_an_earlier_sending(self):
        for code in (3, 4, 6):
            with self.subTest(code=code):
                wall, first = await self.left()
                await self.connect(wall, 1)
                wall._take(refusal(code, 1))
                await self.unknown(first)
                second = asyncio.create_task(wall.place(2, 2, 2))
                await wall._socket.until(2)
                wall._take(refusal(code, 2))
                with self.assertRaises(PlaceError):
                    await second

    async def test_what_was_left_waits_for_init_and_is_given_up_on_another_canvas(self):
        wall, first = await self.left()
        second = asyncio.create_task(wall.place(2, 2, 2))  # never sent
        await self.connect(wall, 0, greeting=None)
        for _ in range(10):
            await asyncio.sleep(0)
        self.assertEqual(wall._socket.numbers, [])
        wall._take(init(canvas_id=2))
        await self.unknown(first)
        with self.assertRaises(GivenUp) as caught:
            await second
        self.assertFalse(caught.exception.maybe_stored)


class Sessions(unittest.IsolatedAsyncioTestCase):
    def serve(self, status):
        """Answers a renewal with status, and hands out new guests; gives the Authorization headers that came."""
        asked = []

        def http(method, url, headers):
            asked.append(headers.get("Authorization"))
            if asked[-1] and status != 201:
                raise urllib.error.HTTPError(url, status, "", {}, io.BytesIO())
            return status, "", json.dumps({"token": "renewed" if asked[-1] else "guest"}).encode()
        patch = mock.patch.object(client, "_http", http)
        patch.start()
        self.addCleanup(patch.stop)
        return asked

    async def pending(self, wall):
        """Placements one and two, the first of which was sent."""
        tasks = [asyncio.create_task(wall.place(n, 0, 1)) for n in (1, 2)]
        await asyncio.sleep(0)
        wall._sent[1] = 0.0
        return tasks

    async def test_a_token_is_renewed_for_the_same_user(self):
        asked = self.serve(201)
        wall = Client("http://test.invalid", "token")
        tasks = await self.pending(wall)
        self.assertEqual((await wall._session(), asked, len(wall._pending)), ("renewed", ["Bearer token"], 2))
        for task in tasks:
            task.cancel()

    async def test_a_guest_whose_token_is_refused_gives_up_what_was_sent(self):
        asked = self.serve(401)
        wall = Client("http://test.invalid")
        wall.token = "token"
        first, second = await self.pending(wall)
        self.assertEqual((await wall._session(), asked), ("guest", ["Bearer token", None]))
        with self.assertRaises(GivenUp):
            await first
        self.assertEqual(list(wall._pending), [2], "what was never sent is the new user's")
        second.cancel()

    async def test_nobody_else_becomes_a_guest(self):
        self.serve(401)
        with self.assertRaises(ClosedForGood):
            await Client("http://test.invalid", "token")._session()

    async def test_a_server_that_is_busy_refuses_no_token(self):
        self.serve(503)
        wall = Client("http://test.invalid")
        wall.token = "token"
        with self.assertRaises(urllib.error.HTTPError):
            await wall._session()
        self.assertEqual(wall.token, "token")


class Copies(unittest.IsolatedAsyncioTestCase):
    async def test_an_unknown_allowance_is_no_reason_to_wait_and_takes_nothing_away(self):
        wall = Client("http://test.invalid", "token")
        wall._take(init(allowance=(0, 0, 0)))
        await asyncio.wait_for(wall.rested(), 20)
        for message in (init(allowance=(0, 0, 0)), wire.encode(wire.Allowance(0, 0, 0)), wire.encode(wire.Placed(1, 0, 1, 0, wire.Allowance(0, 0, 0)))):
            wall.allowance = wire.Allowance(0, 1, 99)
            wall._take(message)
            self.assertEqual(wall.allowance, wire.Allowance(0, 1, 99))

    async def test_a_canvas_that_grew_while_away_is_fetched_whole(self):
        wall = Client("http://test.invalid", "token")
        now = file(3)

        async def fetch(shard):
            return now if shard is None else canvas.CanvasFile(now.canvas, now.width, now.height, now.bits, {shard: now.shards[shard]})
        wall._fetch = fetch
        await wall._refresh()
        now = file(600)
        wall._take(init(width=600))
        await wall._refresh()
        self.assertEqual((sorted(wall.shards), sorted(wall._waiting), wall.colour(599, 0)), ([0, 1], [0, 1], 0))
        now = file(700)
        wall._renew([1])  # its file shows that the canvas grew again
        await wall._refresh()
        self.assertEqual((wall.shards[1].width, wall.colour(699, 0)), (188, 0))

    def test_waits_double_up_to_half_a_minute(self):
        self.assertEqual([longest_wait(tries) for tries in (1, 2, 5, 6, 5000)], [1, 2, 16, 30, 30])


if __name__ == "__main__":
    unittest.main()
