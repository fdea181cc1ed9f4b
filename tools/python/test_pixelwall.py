"""The golden vectors of the specification. They lie in wire/testdata, or where PIXELWALL_TESTDATA says; run with `python -m unittest`."""
import base64
import json
import os
import unittest
from pathlib import Path

from pixelwall import canvas, codec, wire

TESTDATA = Path(os.environ.get("PIXELWALL_TESTDATA", Path(__file__).parents[2] / "wire" / "testdata"))


def load(name):
    return json.loads((TESTDATA / name).read_text())


class Codec(unittest.TestCase):
    def decode(self, v):
        stored = bytes.fromhex(v["canvas"])
        flat = stored if v["bits"] == 8 else canvas.unpack(stored, 4, 2 * len(stored))
        pixels = b"".join(flat[y * v["stride"]:][:v["width"]] for y in range(v["height"]))
        return codec.decode(v["coding"], v["param"], bytes.fromhex(v["payload"]), pixels, v["width"], v["height"], v["bits"])

    def test_good(self):
        for v in load("codec/rice.json") + load("codec/range.json"):
            with self.subTest(v["name"], coding=v["coding"]):
                self.assertEqual(list(self.decode(v).items()), [tuple(p) for p in v["pixels"]])

    def test_examples(self):
        """Those of sections 2 and 3.4."""
        pixels = canvas.unpack(bytes.fromhex("11112222111122223333122233333222"), 4, 32)
        for coding, payload in ((codec.RICE, "d959697f"), (codec.RANGE, "55218a")):
            self.assertEqual(codec.decode(coding, 2, bytes.fromhex(payload), pixels, 8, 4, 4), {11: 2, 19: 2, 30: 5})

    def test_malformed(self):
        for v in load("codec/malformed.json"):
            with self.subTest(v["name"]), self.assertRaises(codec.CodecError) as caught:
                self.decode(v)
            with self.subTest(v["name"]):
                self.assertEqual(caught.exception.code, v["error"])


def expected(m, kind):
    """A message of messages.json as this package has it."""
    allowance = lambda a: wire.Allowance(a["Available"], a["Max"], a["NextMS"])
    config = lambda c: wire.Config(c["Version"], c["Width"], c["Height"], c["Bits"], c["Blank"], c["CooldownMS"], c["BurstMax"], c["TickMS"],
                                   int(c["ReadOnly"]), [(p["RGB"] >> 16, p["RGB"] >> 8 & 255, p["RGB"] & 255, p["Name"]) for p in c["Colors"]])
    payload = lambda: base64.b64decode(m["Payload"] or "")
    match kind:
        case wire.Watch:
            shards = [(s["Shard"], s["Held"] + 1 if s["Resume"] else 0) for s in m["Shards"] or []]
            return kind(m["Canvas"], int(m["Diverged"]), shards)
        case wire.Init:
            return kind(m["Version"], m["Canvas"], m["Epoch"], config(m["Config"]), m["User"], m["Name"], allowance(m["Allowance"]),
                        m["TimeMS"], m["Online"], m["Build"], m["CanvasURL"], [(h["Shard"], h["Seq"]) for h in m["Heads"]])
        case wire.Config:
            return config(m)
        case wire.Resync:
            return kind(m["Reason"], list(base64.b64decode(m["Shards"])))
        case wire.Catchup:
            return kind(m["Shard"], m["From"], m["To"], m["TimeTenths"], m["Param"], payload())
        case wire.Batch:
            return kind(m["Shard"], m["Advance"], m["TimeAdv"], payload(), m["Coding"], m["Param"])
        case _:  # the fields are in the order of the wire
            return kind(*(allowance(v) if k == "Allowance" else v for k, v in m.items()))


class Messages(unittest.TestCase):
    def test_good(self):
        for v in load("messages.json")["good"]:
            with self.subTest(v["name"]):
                data = bytes.fromhex(v["hex"])
                msg = wire.decode(data)
                self.assertEqual(msg, expected(v["message"], type(msg)))
                self.assertEqual(wire.encode(msg), data)
                if not isinstance(msg, (wire.Batch, wire.Catchup)):
                    self.assertEqual(wire.decode(data + b"later"), msg)

    def test_later(self):
        """What a later version adds is ignored."""
        for v in load("messages.json")["later"]:
            with self.subTest(v["name"]):
                msg = wire.decode(bytes.fromhex(v["hex"]))
                if isinstance(msg, wire.Config):
                    msg.flags &= 1
                self.assertEqual(msg, expected(v["message"], type(msg)))

    def test_cut(self):
        for v in load("messages.json")["good"]:
            data = bytes.fromhex(v["hex"])
            for end in range(len(data) - len(getattr(wire.decode(data), "payload", b""))):
                with self.subTest(v["name"], end=end), self.assertRaises(wire.WireError):
                    wire.decode(data[:end])

    def test_malformed(self):
        for v in load("messages.json")["malformed"]:
            with self.subTest(v["name"]), self.assertRaises(wire.WireError) as caught:
                wire.decode(bytes.fromhex(v["hex"]))
            with self.subTest(v["name"]):
                self.assertEqual(caught.exception.code, v["code"])


class CanvasFiles(unittest.TestCase):
    def test_good(self):
        for v in load("canvas.json")["good"]:
            with self.subTest(v["name"]):
                file, want = canvas.parse(bytes.fromhex(v["hex"])), v["file"]
                self.assertEqual((file.canvas, file.width, file.height, file.bits), (want["Canvas"], want["Width"], want["Height"], want["Bits"]))
                self.assertEqual([(s.id, s.seq, s.time, canvas.pack(s.pixels, s.bits)) for s in file.shards.values()],
                                 [(s["Shard"], s["Seq"], s["TimeMS"] // 100, base64.b64decode(s["Packed"])) for s in want["Shards"]])

    def test_malformed(self):
        for v in load("canvas.json")["malformed"]:
            with self.subTest(v["name"]), self.assertRaises(wire.WireError) as caught:
                canvas.parse(bytes.fromhex(v["hex"]))
            with self.subTest(v["name"]):
                self.assertEqual(caught.exception.code, v["code"])


class WorkedExample(unittest.TestCase):
    """The example at the end of PROTOCOL.md."""
    FILE = bytes.fromhex("50574331 0807060504030201 0300 0200 04 01 00 0700000000000000 7b5e56eea1010000 000500")

    def test_it(self):
        file = canvas.parse(self.FILE)
        shard = file.shards[0]
        self.assertEqual((shard.seq, shard.time, shard.pixels.hex()), (7, 17950000001, "000000050000"))
        self.assertEqual(wire.encode(wire.Hello(1, 0x1122334455667788, 1, "")).hex(), "010188776655443322110100")
        self.assertEqual(wire.encode(wire.Watch(file.canvas, 0, [(0, 8)])).hex(), "02080706050403020100010008")
        c = wire.decode(bytes.fromhex("4a0007098c879def42008f"))
        shard.write(codec.RICE, c.param, c.payload, c.to, c.time)
        self.assertEqual((shard.seq, shard.time, shard.pixels.hex()), (9, 17950000012, "000300050000"))
        b = wire.decode(bytes.fromhex("8000030adf93"))
        shard.write(b.coding, b.param, b.payload, shard.seq + b.advance, shard.time + b.time_advance)
        self.assertEqual((shard.seq, shard.pixels.hex()), (12, "00030f050004"))
        self.assertEqual(canvas.pack(shard.pixels, 4).hex(), "03f504")
        self.assertEqual(wire.decode(bytes.fromhex("45000cc3236254")), wire.Check(0, 12, shard.crc()))
        self.assertEqual(wire.encode(wire.Place(1, 2, 1, 14)).hex(), "030102010e")
        placed = wire.decode(bytes.fromhex("4201000dc4cfd9f29e340001ccf6d9f29e34"))
        self.assertEqual(placed, wire.Placed(1, 0, 13, 1795000002500, wire.Allowance(0, 1, 1795000007500)))

    def test_shards(self):
        self.assertEqual([canvas.shard_of(x, y) for x, y in ((0, 0), (999, 0), (0, 999), (999, 999), (4095, 4095))], [0, 1, 2, 3, 63])
        self.assertTrue(all(canvas.shard_of(*canvas.corner_of(i)) == i for i in range(64)))
        self.assertEqual(canvas.crc32c(b"123456789"), 0xE3069283)


if __name__ == "__main__":
    unittest.main()
