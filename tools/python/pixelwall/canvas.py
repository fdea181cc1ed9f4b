"""The canvas file, its shards, and the checksum over them (PROTOCOL.md, "Over HTTP first")."""
from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from . import codec
from .wire import Reader, WireError

SIDE = 512


def shard_of(x: int, y: int) -> int:
    """The id (Morton code) of the shard that holds the pixel (x, y)."""
    column, row = x // SIDE, y // SIDE
    return sum((column >> i & 1) << 2 * i | (row >> i & 1) << 2 * i + 1 for i in range(3))


def corner_of(shard: int) -> tuple[int, int]:
    """The pixel at the left top of a shard."""
    column = sum((shard >> 2 * i & 1) << i for i in range(3))
    row = sum((shard >> 2 * i + 1 & 1) << i for i in range(3))
    return column * SIDE, row * SIDE


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()
_HIGH, _LOW, _RAISED = (bytes(f(b) for b in range(256)) for f in (lambda b: b >> 4, lambda b: b & 15, lambda b: b << 4 & 255))


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, as in iSCSI)."""
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def pack(pixels: bytes | bytearray, bits: int) -> bytes:
    """One byte a pixel to the packed form."""
    if bits == 8:
        return bytes(pixels)
    high, low = pixels[::2].translate(_RAISED), pixels[1::2].ljust((len(pixels) + 1) // 2, b"\0")
    return (int.from_bytes(high, "big") | int.from_bytes(low, "big")).to_bytes(len(high), "big")


def unpack(data: bytes, bits: int, area: int) -> bytearray:
    """The packed form to one byte a pixel."""
    if bits == 8:
        return bytearray(data)
    pixels = bytearray(2 * len(data))
    pixels[::2], pixels[1::2] = data.translate(_HIGH), data.translate(_LOW)
    if any(pixels[area:]):
        raise WireError("padding", "the unused half of the last byte is not 0")
    return pixels[:area]


@dataclass
class Shard:
    """A copy of one shard: its pixels, the seq that they show, and the time of that seq in tenths of a second."""
    id: int
    width: int
    height: int
    bits: int
    pixels: bytearray
    seq: int
    time: int
    trail: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=64))  # digests at the latest seqs

    def __post_init__(self) -> None:
        self.trail.append((self.seq, self.digest()))

    def write(self, coding: int, param: int, payload: bytes, seq: int, time: int) -> None:
        """Decode a payload and write its pixels. When it is refused (`CodecError`) nothing has changed."""
        changes = codec.decode(coding, param, payload, self.pixels, self.width, self.height, self.bits)
        for index, colour in changes.items():
            self.pixels[index] = colour
        self.seq, self.time = seq, time
        self.trail.append((seq, self.digest()))

    def crc(self) -> int:
        return crc32c(pack(self.pixels, self.bits))

    def digest(self) -> bytes:
        return hashlib.sha256(self.pixels).digest()


@dataclass
class CanvasFile:
    """A whole canvas, or some shards of it, as HTTP gives it."""
    canvas: int
    width: int
    height: int
    bits: int
    shards: dict[int, Shard]


def parse(data: bytes) -> CanvasFile:
    """Read a canvas file."""
    r = Reader(data)

    def number(size: int) -> int:
        return int.from_bytes(r.take(size), "little")
    if r.take(4) != b"PWC1":
        raise WireError("type", "no canvas file")
    file = CanvasFile(number(8), number(2), number(2), number(1), {})
    count = number(1)
    if not (1 <= file.width <= 4096 and 1 <= file.height <= 4096 and file.bits in (4, 8) and 1 <= count <= 64):
        raise WireError("range", "size, bits or number of shards")
    heads: list[tuple[int, int, int]] = []
    for _ in range(count):
        head = number(1), number(8), number(8)
        if head[0] > 63:
            raise WireError("range", f"shard {head[0]}")
        if heads and head[0] <= heads[-1][0]:
            raise WireError("order", "shards do not rise")
        heads.append(head)
    for shard, seq, time in heads:
        left, top = corner_of(shard)
        width, height = min(SIDE, file.width - left), min(SIDE, file.height - top)
        if width <= 0 or height <= 0:
            raise WireError("range", f"shard {shard} is outside the canvas")
        pixels = unpack(r.take((width * height * file.bits + 7) // 8), file.bits, width * height)
        file.shards[shard] = Shard(shard, width, height, file.bits, pixels, seq, time // 100)
    if r.pos != len(data):
        raise WireError("range", "bytes behind the last shard")
    return file
