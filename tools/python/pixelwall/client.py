"""A client that keeps a copy of the canvas in step with the server, over any number of cuts, and places pixels."""
from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import math
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from . import canvas, codec, wire

log = logging.getLogger("pixelwall")

AGENT = "pixelwall-python/1"
RANGE_CODER = 1  # the capability
ERRORS = ("internal malformed invalid out_of_canvas unknown_color cooldown unauthorized token_expired hello_required unknown_message "
          "unknown_shard expired read_only unavailable too_many not_found mismatch draining").split()
FATAL_CLOSES = {1002, 1003, 1007, 1009, 4002, 4004}  # reconnecting would not help
PASSING = {13, 14, 17}  # refusals that pass: unavailable, too_many, draining
UNASKED = PASSING | {3, 4, 6}  # for these, and out_of_canvas, unknown_color, unauthorized, the number was not looked up
MAX_UNANSWERED = 32      # placements under way; the server allows 64
SEND_INTERVAL = 1 / 15   # between placements; the server allows 20 messages a second
STABLE_SECONDS = 10      # a connection that lasted this long resets the backoff
RESEND_SECONDS = 120     # after its first sending the server may not know a placement any more


class PlaceError(Exception):
    """The server refused a placement. `retry_after` is in seconds, 0: waiting does not help."""

    def __init__(self, error: wire.Error):
        self.code = error.code
        self.name = ERRORS[error.code] if error.code < len(ERRORS) else f"error {error.code}"
        self.retry_after = error.retry_after / 1000
        super().__init__(f"{self.name}: {error.message}")


class GivenUp(Exception):
    """A placement has no answer and is not sent again. Where `maybe_stored` is true it was sent, so its outcome is unknown."""

    def __init__(self, why: str, maybe_stored: bool):
        self.maybe_stored = maybe_stored
        super().__init__(f"{why}; the placement {'may be' if maybe_stored else 'is not'} stored")


class ClosedForGood(Exception):
    """The connection ended in a way after which the client must not come back as it is."""


class Differs(Exception):
    """The copy is not what the server has."""


@dataclass
class Stats:
    """What happened since the client started."""
    connections: int = 0
    messages: int = 0
    bytes: int = 0
    batches: int = 0
    ranged: int = 0         # of them in the range coder
    ignored: int = 0        # batches of a shard that waits for its catchup
    catchups: int = 0
    resyncs: int = 0
    fetched: int = 0        # shards fetched over HTTP
    checks: int = 0         # that agreed
    diverged: int = 0       # checks that differed and payloads that were refused
    placed: int = 0
    refused: int = 0
    resent: int = 0         # placements sent again after a cut
    online: int = 0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _http(method: str, url: str, headers: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    """Status, location and body. Redirects are not followed."""
    always = {"User-Agent": AGENT, "Accept-Encoding": "gzip"}
    request = urllib.request.Request(url, method=method, headers=always | (headers or {}))
    try:
        answer = _opener.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code not in (301, 302, 303, 307, 308):
            raise
        answer = error
    with answer:
        body = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return answer.status, answer.headers.get("Location", ""), body


def longest_wait(tries: int) -> float:
    """The most seconds that are waited before this try, the first of which is 1."""
    return min(30, 0.5 * 2**min(tries, 10))


class Client:
    """One user on one canvas.

    `async with Client(url) as wall:` returns when the copy of the canvas is in step for the first time.
    Without a token the client asks for a guest's, unless `paint` is false; `shards` limits what is watched.
    """

    def __init__(self, url: str, token: str = "", *, paint: bool = True, shards: Iterable[int] | None = None,
                 capabilities: int = RANGE_CODER):
        self.url = url.rstrip("/")
        self.token, self.guest = token, paint and not token
        self.instance = random.getrandbits(64)
        self.capabilities = capabilities
        self.only = None if shards is None else set(shards)
        self.canvas_id: int | None = None
        self.canvas_url = "/api/v1/canvas"
        self.shards: dict[int, canvas.Shard] = {}   # the copy
        self._size = (0, 0)                         # of the canvas that the copy shows
        self.init: wire.Init | None = None
        self.config: wire.Config | None = None
        self.allowance = wire.Allowance(0, 0, 0)    # max 0: not known
        self.stats = Stats()
        self.on_change: Callable[[canvas.Shard], None] = lambda shard: None
        self._stale: set[int] | None = None         # shards to fetch anew; None: the whole canvas
        self._diverged = False                      # the next watch says reason 1
        self._waiting: set[int] = set()             # watched, their catchup or resync has not come
        self._repair = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._greeted = asyncio.Event()             # init has come on this connection
        self._since: float | None = None            # when it began
        self._expired = False                       # the token was refused
        self._interval = SEND_INTERVAL
        self._clock = 0.0                           # the server's clock minus ours, seconds
        self._number = 0
        self._pending: dict[int, tuple[wire.Place, asyncio.Future[wire.Placed]]] = {}  # rising by number
        self._sent: dict[int, float] = {}           # when the numbers that were ever sent were sent first
        self._unsure: set[int] = set()              # of them, those that a cut left unanswered: they may be stored
        self._due: set[int] = set()                 # of those, to be sent once more
        self._changed = asyncio.Event()             # another one after each message
        self._outbox = asyncio.Event()
        self._bye: wire.Bye | None = None
        self._task: asyncio.Task[None] | None = None

    # --- for users ----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Client:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._wake())
        await self.until(self.in_step)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClosedForGood):
                await self._task

    def in_step(self) -> bool:
        """Whether every shard that is wanted follows the server."""
        return bool(self._socket and self.init and self.shards and self._stale == set() and not self._waiting)

    async def until(self, condition: Callable[[], bool], timeout: float | None = None) -> None:
        """Wait until the condition holds; it is looked at after each message. Raises when the client ended."""
        async def wait() -> None:
            while not condition():
                if self._task and self._task.done():
                    self._task.result()
                await self._changed.wait()
        await asyncio.wait_for(wait(), timeout)

    def colour(self, x: int, y: int) -> int:
        """The colour of a pixel of the copy."""
        shard = self.shards[canvas.shard_of(x, y)]
        return shard.pixels[y % canvas.SIDE * shard.width + x % canvas.SIDE]

    async def place(self, x: int, y: int, colour: int) -> wire.Placed:
        """Place a pixel once. It survives cuts; raises `PlaceError` when it is refused, and then it is not stored,
        and `GivenUp` when nobody can say any more what became of it."""
        self._number += 1
        future: asyncio.Future[wire.Placed] = asyncio.get_running_loop().create_future()
        self._pending[self._number] = wire.Place(self._number, x, y, colour), future
        self._outbox.set()
        return await future

    async def paint(self, x: int, y: int, colour: int) -> wire.Placed:
        """Like `place`, but waits for the allowance, and tries again while the server says that waiting helps."""
        while True:
            await self.rested()
            try:
                return await self.place(x, y, colour)
            except PlaceError as error:
                if not error.retry_after:
                    raise
                await asyncio.sleep(error.retry_after)

    async def rested(self) -> None:
        """Wait until a placement is allowed, as far as that is known."""
        while self.allowance.max and not self.allowance.available:
            wait = self.allowance.next / 1000 - self._clock - time.time()
            if self.allowance.next and wait <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await self.until(lambda: self.allowance.available > 0, max(wait, 0.05) if self.allowance.next else 1)

    async def verify(self, timeout: float = 60) -> dict[int, int]:
        """Compare each shard with HTTP at a seq that both have. Gives the seqs; raises `Differs`."""
        seen: dict[int, int] = {}
        wanted = set(self.shards)
        end = time.monotonic() + timeout
        while missing := wanted - set(seen):
            if time.monotonic() > end:
                raise asyncio.TimeoutError(f"shards {missing} met no seq of HTTP")
            file = await self._fetch(None)
            with contextlib.suppress(asyncio.TimeoutError):  # the copy may lag behind the file
                await self.until(lambda: all(self.shards[i].seq >= file.shards[i].seq for i in missing), 3)
            for i in missing:
                theirs = file.shards[i]
                ours = dict(self.shards[i].trail).get(theirs.seq)
                if ours is not None:
                    if ours != theirs.digest() or file.canvas != self.canvas_id:
                        raise Differs(f"shard {i} differs at seq {theirs.seq}")
                    seen[i] = theirs.seq
            if wanted - set(seen):
                await asyncio.sleep(1)
        return seen

    def cut(self) -> None:
        """Cut the connection without a word, as a bad network does (for tests)."""
        if self._socket:
            self._socket.transport.abort()

    # --- HTTP ---------------------------------------------------------------------------------------------

    async def _session(self) -> str:
        """Another token of the same user; a new guest's only where there is none, or it is refused."""
        async def post(headers: dict[str, str]) -> str:
            _, _, body = await asyncio.to_thread(_http, "POST", self.url + "/api/v1/session", headers)
            return json.loads(body)["token"]
        if self.token:
            try:
                return await post({"Authorization": f"Bearer {self.token}"})
            except urllib.error.HTTPError as error:
                if error.code != 401:
                    raise
                if not self.guest:
                    raise ClosedForGood("the token is refused, and so is another one for it") from error
            # Another user would paint anew what this one may have painted.
            self.token = ""
            self._give_up([number for number in self._pending if number in self._sent], "its user's token is refused for good")
        return await post({})

    async def _fetch(self, shard: int | None) -> canvas.CanvasFile:
        """The newest canvas, or one shard of it."""
        def get() -> bytes:
            url = urllib.parse.urljoin(self.url + "/", self.canvas_url)
            status, location, body = _http("GET", url)
            if status != 200:
                version = urllib.parse.urljoin(url, location)
                status, _, body = _http("GET", version if shard is None else f"{version}/{shard}")
            return body
        return canvas.parse(await asyncio.to_thread(get))

    async def _refresh(self) -> None:
        """Fetch what is stale."""
        while self._stale != set():
            whole = self._stale is None
            file = await self._fetch(min(self._stale) if self._stale else None)
            size = file.width, file.height
            if not whole and (self._stale is None or (file.canvas, size) != (self.canvas_id, self._size)):
                self._stale = None  # another canvas, or it has grown, perhaps while we fetched
                continue
            fresh = {i: s for i, s in file.shards.items() if self.only is None or i in self.only}
            self.canvas_id, self._size = file.canvas, size
            self.shards = fresh if whole else self.shards | fresh
            self._waiting = self._waiting & set(self.shards) | set(fresh)
            self._stale = self._stale - set(fresh) if self._stale else set()
            self.stats.fetched += len(fresh)

    # --- the connection -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect again and again."""
        tries = 0
        try:
            while True:
                self._since = None
                try:
                    await self._connection()
                except (OSError, WebSocketException, wire.WireError, EOFError) as error:
                    log.log(logging.INFO if self.init else logging.WARNING, "cut: %r", error)
                    self._judge(error)
                finally:
                    self._socket = None
                lasted = self._since is not None and time.monotonic() - self._since >= STABLE_SECONDS
                tries = 1 if lasted else tries + 1
                if self._bye:
                    wait, self._bye = random.uniform(self._bye.least, self._bye.most) / 1000, None
                else:
                    wait = random.uniform(0, longest_wait(tries))
                await asyncio.sleep(wait)
        finally:
            for _, future in self._pending.values():
                future.cancel()

    def _judge(self, error: Exception) -> None:
        """Take a close code to heart; give up after one that forbids to come back."""
        code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd else 0
        if code == 1008:
            self._interval *= 2
        if code == 4003 and self.token:
            self._expired = True
        elif code == 4003 or code in FATAL_CLOSES:
            raise ClosedForGood(f"closed with {code}: {error}") from error

    async def _connection(self) -> None:
        """One connection from its first to its last byte."""
        if self._expired or self.guest and not self.token:
            self.token, self._expired = await self._session(), False
        await self._refresh()
        url = "ws" + self.url.removeprefix("http") + "/ws"
        async with connect(url, subprotocols=["pixelwall.v1"], compression=None, max_size=1 << 20,  # type: ignore[list-item]
                           user_agent_header=AGENT) as self._socket:
            self.stats.connections += 1
            self._since = time.monotonic()
            self._greeted.clear()
            await self._send(wire.Hello(wire.VERSION, self.instance, self.capabilities, self.token))
            self._waiting = set(self.shards)
            await self._watch()
            tasks = [asyncio.create_task(work) for work in (self._read_all(), self._place_all(), self._repair_all())]
            try:
                await (await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))[0].pop()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_all(self) -> None:
        while self._socket:
            data = await self._socket.recv()
            self.stats.messages += 1
            self.stats.bytes += len(data)
            self._take(data if isinstance(data, bytes) else data.encode())
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _send(self, message: object) -> None:
        if self._socket:
            await self._socket.send(wire.encode(message))

    async def _watch(self) -> None:
        """Say which shards are wanted: those that wait for a catchup from their seq, the others go on."""
        positions = [(i, s.seq + 1 if i in self._waiting else 0) for i, s in sorted(self.shards.items())]
        if self.canvas_id is not None:
            await self._send(wire.Watch(self.canvas_id, int(self._diverged), positions))
        self._diverged = False

    async def _repair_all(self) -> None:
        """Fetch what became stale while connected, and watch it again; not faster than the canvas has new versions."""
        while True:
            await self._repair.wait()
            self._repair.clear()
            await self._refresh()
            await self._watch()
            await asyncio.sleep(1)

    async def _place_all(self) -> None:
        """Send every placement that is not answered, in order: on a new connection those of the last one first.

        Only `init` tells whether they are meant for this canvas."""
        await self._greeted.wait()
        last = 0
        while True:
            self._outbox.clear()
            for number, (place, _) in list(self._pending.items())[:MAX_UNANSWERED]:
                if number in self._pending and (number > last or number in self._due):
                    if time.monotonic() - self._sent.get(number, math.inf) > RESEND_SECONDS:
                        self._give_up([number], "there was no answer for two minutes")
                        continue
                    if number > last and number in self._sent:
                        self.stats.resent += 1
                        self._unsure.add(number)
                    last = max(last, number)
                    self._sent.setdefault(number, time.monotonic())
                    self._due.discard(number)
                    await self._send(place)
                    await asyncio.sleep(self._interval)
            await self._outbox.wait()

    def _send_again(self, number: int) -> None:
        self._due.add(number)
        self._outbox.set()

    # --- what the server says -----------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        try:
            message = wire.decode(data)
        except wire.UnknownType:
            return
        except wire.WireError as error:
            log.warning("malformed message %s: %s", data[:32].hex(), error)
            self._renew(None, diverged=True)
            return
        match message:
            case wire.Batch():
                self._on_batch(message)
            case wire.Catchup():
                self._on_catchup(message)
            case wire.Check():
                self._on_check(message)
            case wire.Resync():
                self.stats.resyncs += 1
                self._renew(None if message.reason in (2, 3) else message.shards)  # 3: there may be new shards
            case wire.Init():
                if self.init and self.init.canvas != message.canvas:
                    self._give_up(list(self._pending), "another canvas took the place of the one that it was meant for")
                self.init, self.config, self.canvas_url = message, message.config, message.canvas_url
                self._clock = message.time / 1000 - time.time()
                self._allow(message.allowance)
                self.stats.online = message.online
                if (message.canvas, (message.config.width, message.config.height)) != (self.canvas_id, self._size):
                    self._renew(None)
                self._greeted.set()
            case wire.Config():
                self.config = message
            case wire.Placed():
                self.stats.placed += 1
                self._allow(message.allowance)
                self._answer(message.number, lambda future: future.set_result(message))
            case wire.Error():
                log.info("error: %s", message)
                self._allow(message.allowance)
                if message.number:
                    self._refused(message)
            case wire.Allowance():
                self._allow(message)
            case wire.Presence():
                self.stats.online = message.online
            case wire.Bye():
                self._bye = message

    def _allow(self, allowance: wire.Allowance) -> None:
        if allowance.max:  # 0: the server says nothing
            self.allowance = allowance

    def _refused(self, error: wire.Error) -> None:
        """Of an earlier sending the server says nothing where it did not look the number up."""
        unknown = error.number in self._unsure and error.code in UNASKED
        if unknown and error.code in PASSING and error.retry_after:
            asyncio.get_running_loop().call_later(error.retry_after / 1000, self._send_again, error.number)
            return
        self.stats.refused += 1
        refusal = PlaceError(error)
        if unknown:
            self._give_up([error.number], f"the server did not look it up ({refusal})")
        else:
            self._answer(error.number, lambda future: future.set_exception(refusal))

    def _give_up(self, numbers: Iterable[int], why: str) -> None:
        for number in numbers:
            failure = GivenUp(why, number in self._sent)
            self._answer(number, lambda future: future.set_exception(failure))

    def _on_batch(self, b: wire.Batch) -> None:
        shard = self.shards.get(b.shard)
        if shard is None or b.shard in self._waiting:
            self.stats.ignored += 1
            return
        self.stats.batches += 1
        self.stats.ranged += b.coding == codec.RANGE
        self._write(shard, b.coding, b.param, b.payload, shard.seq + b.advance, shard.time + b.time_advance)

    def _on_catchup(self, c: wire.Catchup) -> None:
        shard = self.shards.get(c.shard)
        if shard is None or (self._stale is None or c.shard in self._stale):
            return
        self.stats.catchups += 1
        if not c.first <= shard.seq <= c.to:
            self._renew([c.shard])
            return
        self._waiting.discard(c.shard)
        self._write(shard, codec.RICE, c.param, c.payload, c.to, c.time)

    def _on_check(self, c: wire.Check) -> None:
        shard = self.shards.get(c.shard)
        if shard and c.shard not in self._waiting and shard.seq == c.seq:
            if shard.crc() == c.crc:
                self.stats.checks += 1
            else:
                self._renew([c.shard], diverged=True)

    def _write(self, shard: canvas.Shard, coding: int, param: int, payload: bytes, seq: int, when: int) -> None:
        try:
            shard.write(coding, param, payload, seq, when)
        except codec.CodecError as error:
            log.warning("shard %d: %s", shard.id, error)
            self._renew([shard.id], diverged=True)
        else:
            self.on_change(shard)

    def _renew(self, shards: Iterable[int] | None, diverged: bool = False) -> None:
        """The copy of these shards (None: of all) is of no use any more."""
        if shards is None:
            self._stale, self._waiting = None, set(self.shards)
        else:
            new = set(shards) & set(self.shards)
            self._stale = None if self._stale is None else self._stale | new
            self._waiting |= new
        self._diverged |= diverged
        self.stats.diverged += diverged
        self._repair.set()

    def _answer(self, number: int, settle: Callable[[asyncio.Future[wire.Placed]], None]) -> None:
        entry = self._pending.pop(number, None)
        self._sent.pop(number, None)
        for numbers in (self._unsure, self._due):
            numbers.discard(number)
        self._outbox.set()
        if entry and not entry[1].done():
            settle(entry[1])
