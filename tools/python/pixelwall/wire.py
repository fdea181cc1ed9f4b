"""The messages of the protocol (PROTOCOL.md) as dataclasses; `encode` and `decode` go both ways.

A class lists its fields in the order of the wire, each with its kind: how it is read and written, and its range.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

VERSION = 1
MAX_VARINT = 2**53 - 1


class WireError(ValueError):
    """A message or a canvas file that does not parse. `code` is type, truncated, range, varint, utf8, order or padding."""

    def __init__(self, code: str, why: str = ""):
        super().__init__(f"{code}: {why}" if why else code)
        self.code = code


class UnknownType(WireError):
    """A type that this client does not know: to be skipped."""

    def __init__(self, why: str):
        super().__init__("type", why)


class Reader:
    """Takes fields from the front of a message."""

    def __init__(self, data: bytes):
        self.data, self.pos = data, 0

    def take(self, n: int) -> bytes:
        if self.pos + n > len(self.data):
            raise WireError("truncated")
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def varint(self) -> int:
        value = 0
        for i in range(8):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if (byte == 0 and i > 0) or value > MAX_VARINT:
                    raise WireError("varint", "longer than needed, or 2^53 and more")
                return value
        raise WireError("varint", "longer than 8 bytes")


def put_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# --- kinds of fields ---------------------------------------------------------------------------------------

class Kind(NamedTuple):
    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]


def _within(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise WireError("range", f"{value} is not in {low} … {high}")
    return value


def fixed(size: int, low: int = 0, high: int | None = None) -> Kind:
    top = 256**size - 1 if high is None else high
    return Kind(lambda r: _within(int.from_bytes(r.take(size), "little"), low, top),
                lambda v: _within(v, low, top).to_bytes(size, "little"))


def varint(low: int = 0, high: int = MAX_VARINT) -> Kind:
    return Kind(lambda r: _within(r.varint(), low, high), lambda v: put_varint(_within(v, low, high)))


def _read_text(r: Reader) -> str:
    raw = r.take(_within(r.varint(), 0, 512))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise WireError("utf8") from None


def _write_text(text: str) -> bytes:
    raw = text.encode()
    return put_varint(_within(len(raw), 0, 512)) + raw


def struct(cls: type) -> Kind:
    return Kind(lambda r: _read_fields(cls, r), _write_fields)


def items(low: int, high: int, *kinds: Kind, rising: bool = False) -> Kind:
    """A list with its length before it; of tuples if there is more than one kind."""
    def read(r: Reader) -> list:
        out: list = []
        for _ in range(_within(r.varint(), low, high)):
            item = tuple(kind.read(r) for kind in kinds)
            if rising and out and item[0] <= out[-1][0]:
                raise WireError("order", "shards do not rise")
            out.append(item)
        return out if len(kinds) > 1 else [item[0] for item in out]

    def write(values: list) -> bytes:
        rows = values if len(kinds) > 1 else [(value,) for value in values]
        head = put_varint(_within(len(rows), low, high))
        return head + b"".join(kind.write(v) for row in rows for kind, v in zip(kinds, row, strict=True))
    return Kind(read, write)


def _read_rest(r: Reader) -> bytes:
    return r.take(len(r.data) - r.pos)


U8, U32, U64, V, V32, TEXT = fixed(1), fixed(4), fixed(8), varint(), varint(high=2**32 - 1), Kind(_read_text, _write_text)
SHARD, PARAM, REST = fixed(1, 0, 63), fixed(1, 0, 31), Kind(_read_rest, bytes)


def of(kind: Kind) -> Any:
    return field(metadata={"kind": kind})


def _read_fields(cls: type, r: Reader) -> Any:
    return cls(**{f.name: f.metadata["kind"].read(r) for f in fields(cls) if "kind" in f.metadata})


def _write_fields(value: Any) -> bytes:
    return b"".join(f.metadata["kind"].write(getattr(value, f.name)) for f in fields(value) if "kind" in f.metadata)


# --- messages ----------------------------------------------------------------------------------------------

TYPES: dict[int, type] = {}
T = TypeVar("T")


def message(number: int) -> Callable[[type[T]], type[T]]:
    def register(cls: type[T]) -> type[T]:
        setattr(cls, "TYPE", number)
        TYPES[number] = cls
        return cls
    return register


@message(0x01)
@dataclass
class Hello:
    version: int = of(V32)
    instance: int = of(U64)
    capabilities: int = of(V)
    token: str = of(TEXT)


@message(0x02)
@dataclass
class Watch:
    canvas: int = of(U64)
    reason: int = of(fixed(1, 0, 1))
    shards: list[tuple[int, int]] = of(items(0, 64, SHARD, V, rising=True))  # (shard, position)


@message(0x03)
@dataclass
class Place:
    number: int = of(varint(1, 2**32 - 1))
    x: int = of(varint(0, 65535))
    y: int = of(varint(0, 65535))
    colour: int = of(U8)


@message(0x04)
@dataclass
class Ping:
    nonce: int = of(V)


@message(0x4B)
@dataclass
class Allowance:
    available: int = of(V32)
    max: int = of(V32)
    next: int = of(V)


@message(0x46)
@dataclass
class Config:
    version: int = of(V32)
    width: int = of(varint(1, 4096))
    height: int = of(varint(1, 4096))
    bits: int = of(U8)
    blank: int = of(U8)
    cooldown: int = of(V)
    max: int = of(V32)
    tick: int = of(V32)
    flags: int = of(U8)  # bit 0: read-only; the others are for later versions
    colours: list[tuple[int, int, int, str]] = of(items(2, 256, U8, U8, U8, TEXT))

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise WireError("range", f"{self.bits} bits a pixel")


@message(0x41)
@dataclass
class Init:
    version: int = of(V32)
    canvas: int = of(U64)
    epoch: int = of(V)
    config: Config = of(struct(Config))
    user: int = of(U64)
    name: str = of(TEXT)
    allowance: Allowance = of(struct(Allowance))
    time: int = of(V)
    online: int = of(V)
    build: str = of(TEXT)
    canvas_url: str = of(TEXT)
    heads: list[tuple[int, int]] = of(items(1, 64, SHARD, V, rising=True))  # (shard, seq)


@message(0x42)
@dataclass
class Placed:
    number: int = of(varint(1, 2**32 - 1))
    shard: int = of(SHARD)
    seq: int = of(V)
    time: int = of(V)
    allowance: Allowance = of(struct(Allowance))


@message(0x43)
@dataclass
class Error:
    code: int = of(U8)
    number: int = of(V32)
    retry_after: int = of(V)
    allowance: Allowance = of(struct(Allowance))
    message: str = of(TEXT)


@message(0x44)
@dataclass
class Resync:
    reason: int = of(U8)
    shards: list[int] = of(items(1, 64, SHARD, rising=True))


@message(0x45)
@dataclass
class Check:
    shard: int = of(SHARD)
    seq: int = of(V)
    crc: int = of(U32)


@message(0x47)
@dataclass
class Presence:
    online: int = of(V)


@message(0x48)
@dataclass
class Bye:
    least: int = of(V)
    most: int = of(V)

    def __post_init__(self) -> None:
        _within(self.most, self.least, MAX_VARINT)


@message(0x49)
@dataclass
class Pong:
    nonce: int = of(V)
    time: int = of(V)


@message(0x4A)
@dataclass
class Catchup:
    shard: int = of(SHARD)
    first: int = of(V)  # "from" on the wire
    to: int = of(V)
    time: int = of(V)
    param: int = of(PARAM)
    payload: bytes = of(REST)

    def __post_init__(self) -> None:
        _within(self.to, self.first, MAX_VARINT)


@dataclass
class Batch:
    """Types 0x80 to 0xff: the type byte carries coding and parameter."""
    shard: int = of(SHARD)
    advance: int = of(V)
    time_advance: int = of(V)
    payload: bytes = of(REST)
    coding: int = 0
    param: int = 0


def decode(data: bytes) -> Any:
    """Parse a message. Raises `UnknownType` for one to be skipped and `WireError` for a malformed one."""
    if not data:
        raise WireError("type", "an empty message")
    reader = Reader(data)
    number = reader.take(1)[0]
    if number >= 0x80:
        batch = _read_fields(Batch, reader)
        batch.coding, batch.param = (number - 0x80) >> 5, number & 31
        return batch
    if number not in TYPES:
        raise UnknownType(f"0x{number:02x}")
    return _read_fields(TYPES[number], reader)


def encode(msg: Any) -> bytes:
    number = 0x80 + 32 * msg.coding + msg.param if isinstance(msg, Batch) else msg.TYPE
    return bytes((number,)) + _write_fields(msg)
