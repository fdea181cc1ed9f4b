"""The batch codec (CODEC.md): what the payload of a batch or a catchup means.

A shard is handled as one byte a pixel, row after row, `width * height` bytes. Both decoders return the
changed pixels as a dict from index (y * width + x) to colour, rising by index, and raise `CodecError`
for every payload that the one canonical encoder would not have written.
"""
from __future__ import annotations

import json
from pathlib import Path

RICE, RANGE = 0, 1

_TABLES = json.loads(Path(__file__).with_name("tables.json").read_text())
_NEIGHBOURS = ((-1, 0, 3), (0, -1, 3), (1, 0, 3), (0, 1, 3), (-1, -1, 1), (1, -1, 1), (-1, 1, 1), (1, 1, 1))  # dx, dy, weight


class CodecError(ValueError):
    """A payload that no encoder writes. `code` is range, truncated or padding (CODEC.md, section 5)."""

    def __init__(self, code: str, why: str):
        super().__init__(f"{code}: {why}")
        self.code = code


def decode(coding: int, param: int, payload: bytes, pixels: bytes | bytearray,
           width: int, height: int, bits: int) -> dict[int, int]:
    """Decode a payload against `pixels`, the shard as it was before the batch."""
    if coding == RICE:
        return decode_rice(param, payload, width * height, bits)
    if coding == RANGE:
        return decode_range(param, payload, pixels, width, height, bits)
    raise CodecError("range", f"unknown coding {coding}")


def decode_rice(k: int, payload: bytes, area: int, bits: int) -> dict[int, int]:
    """Section 2. It reads no canvas."""
    if k > 22 or (k and not payload):
        raise CodecError("range", f"Rice parameter {k}")
    if not payload:
        return {}
    text = bin(int.from_bytes(b"\x01" + payload, "big"))[3:]  # the payload as a string of 0 and 1
    pos, width = 0, bits
    if bits == 8:
        pos, width = 3, int(text[:3], 2) + 1
    changes: dict[int, int] = {}
    index = -1
    while (zero := text.find("0", pos)) >= 0:
        low, colour, end = zero + 1, zero + 1 + k, zero + 1 + k + width
        if end > len(text):
            raise CodecError("truncated", "a pixel is cut")
        index += 1 + ((zero - pos) << k) + int(text[low:colour] or "0", 2)
        if index >= area:
            raise CodecError("range", f"index {index} is outside the area")
        changes[index] = int(text[colour:end], 2)
        pos = end
    if len(text) - pos >= 8 or not changes:
        raise CodecError("padding", "more padding than a byte needs")
    _check_width(width, changes, bits)
    return changes


def decode_range(param: int, payload: bytes, pixels: bytes | bytearray,
                 width: int, height: int, bits: int) -> dict[int, int]:
    """Section 3. The neighbours of a pixel, as `pixels` and this batch so far have them, predict its colour."""
    area = width * height
    if not 0 <= param <= 31 or area == 0:
        raise CodecError("range", f"parameter {param}, area {area}")
    coder = _Decoder(payload)
    count = _read_count(coder, param)
    if count > area:
        raise CodecError("range", f"{count} pixels in an area of {area}")
    colour_bits = 4 if bits == 4 else coder.direct(3) + 1

    depth = min((area // count).bit_length() - 1, 19)  # D in the text
    gaps = list(_TABLES["gap"][depth])
    mantissas = [list(row) for row in _TABLES["mant"]]
    ranks = [[list(row) for row in table] for table in _TABLES["rank"]]
    literals = [32768] * (1 << colour_bits)

    changes: dict[int, int] = {}
    index = -1
    for _ in range(count):
        index += 1 + _read_gap(coder, gaps, mantissas, depth)
        if index >= area:
            raise CodecError("range", f"index {index} is outside the area")
        candidates = _candidates(index, pixels, changes, width, height)
        changes[index] = _read_colour(coder, candidates, ranks, literals, colour_bits)
        if coder.taken > len(payload) + 4:
            raise CodecError("truncated", "the payload ends inside a pixel")
    coder.check_end()
    _check_width(colour_bits, changes, bits)
    return changes


class _Decoder:
    """The arithmetic decoder of section 3.1."""

    def __init__(self, payload: bytes):
        self.payload = payload
        self.rng = 0xFFFFFFFF
        self.code = int.from_bytes(payload[:4].ljust(4, b"\0"), "big")
        self.taken = 4
        if self.code == 0xFFFFFFFF:
            raise CodecError("truncated", "a fraction that no encoder writes")

    def _refill(self) -> None:
        while self.rng < 1 << 24:
            byte = self.payload[self.taken] if self.taken < len(self.payload) else 0
            self.rng, self.code, self.taken = self.rng << 8, (self.code << 8) + byte, self.taken + 1

    def bit(self, table: list[int], at: int, shift: int = 6) -> int:
        """One bit with the adaptive probability table[at] of a one."""
        p = table[at]
        bound = (self.rng >> 12) * (p >> 4)
        bit = self.code < bound
        if bit:
            self.rng, table[at] = bound, p + ((65535 - p) >> shift)
        else:
            self.code, self.rng, table[at] = self.code - bound, self.rng - bound, p - (p >> shift)
        self._refill()
        return int(bit)

    def direct(self, n: int) -> int:
        """A number of n bits without a probability."""
        value = 0
        while n > 0:
            chunk = min(n, 12)
            n -= chunk
            self.rng >>= chunk
            digit = self.code // self.rng
            if digit >> chunk:
                raise CodecError("truncated", "a fraction that no encoder writes")
            self.code -= digit * self.rng
            value = (value << chunk) + digit
            self._refill()
        return value

    def check_end(self) -> None:
        """Refuse a payload that does not end as the encoder's `finish` would have ended it."""
        behind = self.taken - len(self.payload)  # 4: nothing was appended; 3: one byte was
        if behind == 4:
            return
        last = self.payload[-1] << 24 if self.payload else 0
        if behind != 3 or last == 0 or self.code >= 1 << 24 or last - self.code + self.rng > 1 << 32:
            raise CodecError("padding", "not the shortest end")


def _read_count(coder: _Decoder, param: int) -> int:
    """Section 3.2."""
    if param == 0:
        return 1
    if param == 31:
        return 65536 + coder.direct(22)
    e, h = (param + 1) // 2, (param + 1) % 2
    return ((2 + h) << (e - 1)) + coder.direct(e - 1)


def _read_gap(coder: _Decoder, gaps: list[int], mantissas: list[list[int]], depth: int) -> int:
    node = 1
    for _ in range(5):
        node = 2 * node + coder.bit(gaps, node)
    left = node - 32
    if left > 22:
        raise CodecError("range", f"a gap of {left} bits")
    mantissa = mantissas[min(max(left - depth + 6, 0), 9)]
    value = 1
    while left > 0 and value < 4:
        value, left = 2 * value + coder.bit(mantissa, value), left - 1
    return (value << left) + coder.direct(left) - 1


def _candidates(index: int, pixels: bytes | bytearray, changes: dict[int, int],
                width: int, height: int) -> list[tuple[int, int]]:
    """The colours of the neighbours with their weights, heaviest first, without the pixel's own colour."""
    y, x = divmod(index, width)
    own = pixels[index]
    weights: dict[int, int] = {}
    for dx, dy, weight in _NEIGHBOURS:
        if 0 <= x + dx < width and 0 <= y + dy < height:
            at = index + dy * width + dx
            colour = changes.get(at)
            if colour is None:
                colour = pixels[at]
            else:
                weight += 2
            if colour != own:
                weights[colour] = weights.get(colour, 0) + weight
    return sorted(weights.items(), key=lambda item: -item[1])  # stable: the first met stays first


def _read_colour(coder: _Decoder, candidates: list[tuple[int, int]], ranks: list[list[list[int]]],
                 literals: list[int], colour_bits: int) -> int:
    weights = [weight for _, weight in candidates] + [0]
    offered = [colour for colour, _ in candidates[:4]]
    for i, colour in enumerate(offered):
        if coder.bit(ranks[i][min(weights[i], 16) - 1], min(weights[i + 1], 15)):
            return colour
    node, colour = 1, 0
    for shift in reversed(range(colour_bits)):
        colour *= 2
        zero = sum(c >> shift == colour for c in offered) < 1 << shift
        one = sum(c >> shift == colour + 1 for c in offered) < 1 << shift
        if not zero and not one:
            raise CodecError("truncated", "a literal that no encoder writes")
        bit = coder.bit(literals, node, shift=5) if zero and one else int(one)
        node, colour = 2 * node + bit, colour + bit
    return colour


def _check_width(width: int, changes: dict[int, int], bits: int) -> None:
    if bits == 8 and width != max(1, max(changes.values()).bit_length()):
        raise CodecError("range", f"a colour width of {width} that no colour needs")
