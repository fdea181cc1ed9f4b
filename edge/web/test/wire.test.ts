import { formatCanvasFile, parseCanvasFile } from "../src/wire/canvas-file";
import { crc32c } from "../src/wire/crc32c";
import { Reader, Writer } from "../src/wire/fields";
import { shardArea, shardAt, shardColumn, shardID, shardRow, shardsIn, shardsOf } from "../src/wire/geometry";
import { pack, unpack } from "../src/wire/packed";
import { hello, place, watch } from "../src/wire/requests";
import { equal, test, throws } from "./harness";
import vectors from "../../../wire/testdata/canvas.json";

const bytes = (hexText: string) => Uint8Array.from(hexText.match(/../g) ?? [], (h) => parseInt(h, 16));
const hexOf = (b: Uint8Array) => Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("");

test("CRC-32C is the Castagnoli one, whatever the length", () => {
  equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  equal(crc32c(new Uint8Array(0)), 0);
  equal(crc32c(new Uint8Array(32)), 0x8a9136aa); // RFC 3720, B.4
  equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
});

test("requests are the golden ones", () => {
  equal(hexOf(hello(0x0123456789abcdefn, 1, "token")), "0101efcdab89674523010105746f6b656e");
  equal(hexOf(hello(1n, 0, "")), "010101000000000000000000");
  equal(hexOf(watch(0xfedcba9876543210n, false, [{ shard: 3, held: 0 }, { shard: 0, held: -1 }])), "021032547698badcfe000200000301");
  equal(hexOf(watch(7n, true, [{ shard: 63, held: 2 ** 40 }])), "02070000000000000001013f818080808020");
  equal(hexOf(place(4294967295, 4095, 4095, 255)), "03ffffffff0fff1fff1fff");
  equal(hexOf(place(1, 0, 127, 5)), "0301007f05");
});

test("varints of every length come back", () => {
  for (const v of [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    equal(new Reader(new Writer().varint(v).done()).varint(Number.MAX_SAFE_INTEGER, "v"), v);
  }
});

test("a varint that is longer than it need be is refused", () => {
  throws(() => new Reader(bytes("8000")).varint(9, "v"), "varint");
  throws(() => new Reader(bytes("808080808080808001")).varint(9, "v"), "varint");
  throws(() => new Reader(bytes("80")).varint(9, "v"), "truncated");
  throws(() => new Reader(bytes("0a")).varint(9, "v"), "range");
});

test("a shard's id is its Morton code and back", () => {
  equal([shardID(0, 0), shardID(1, 0), shardID(0, 1), shardID(7, 7), shardID(5, 2)], [0, 1, 2, 63, 25]);
  for (let id = 0; id < 64; id++) equal(shardID(shardColumn(id), shardRow(id)), id);
  equal(shardAt(999, 511), 1);
});

test("the canvas fills shards at its rim in part", () => {
  equal(shardArea({ width: 1000, height: 700 }, 3), { width: 488, height: 188 });
  equal(shardArea({ width: 500, height: 500 }, 1), { width: 0, height: 0 });
  equal(shardsOf({ width: 1000, height: 500 }), [0, 1]);
});

test("the shards in view are those that the view touches", () => {
  const size = { width: 1000, height: 1000 };
  equal(shardsIn(size, 0, 0, 512, 512), [0]);
  equal(shardsIn(size, 0, 0, 512.1, 512), [0, 1]);
  equal(shardsIn(size, -500, -500, 9000, 9000), [0, 1, 2, 3]);
  equal(shardsIn(size, 1200, 0, 1300, 100), []);
});

test("packed pixels come back, an odd number of them too", () => {
  for (const bits of [4, 8]) {
    for (const n of [1, 2, 7, 512]) {
      const pixels = Uint8Array.from({ length: n }, (_, i) => (i * 7 + 3) % 16);
      equal(unpack(pack(pixels, bits), n, bits), pixels, `${n} pixels of ${bits} bits`);
    }
  }
  throws(() => unpack(bytes("12" + "31"), 3, 4), "padding");
});

const file = "50574331" + "1032547698badcfe" + "0300" + "0100" + "04" + "01" + "00" + "0700000000000000" + "6400000000000000" + "1230";

test("a canvas file is read", () => {
  const f = parseCanvasFile(bytes(file));
  equal([f.canvas, f.width, f.height, f.bits], [0xfedcba9876543210n, 3, 1, 4]);
  equal(f.shards, [{ shard: 0, seq: 7, timeMS: 100, pixels: Uint8Array.of(1, 2, 3) }]);
});

test("a canvas file is written as it was read", () => {
  equal(formatCanvasFile(parseCanvasFile(bytes(file))), bytes(file));
  const odd = { canvas: 7n, width: 515, height: 3, bits: 8 as const };
  const shards = [{ shard: 0, width: 512 }, { shard: 1, width: 3 }].map(({ shard, width }) => ({ shard, seq: 2 ** 40 + shard, timeMS: 1e12, pixels: new Uint8Array(3 * width).fill(shard + 9) }));
  equal(parseCanvasFile(formatCanvasFile({ ...odd, shards })), { canvas: 7n, width: 515, height: 3, bits: 8, shards });
});

test("a canvas file that is not right is refused", () => {
  throws(() => parseCanvasFile(bytes(file.slice(0, -2))), "truncated");
  throws(() => parseCanvasFile(bytes(`${file}00`)), "range");
  throws(() => parseCanvasFile(bytes(file.replace("50574331", "50574332"))), "type");
  throws(() => parseCanvasFile(bytes(file.replace("0401", "0501"))), "range");
  throws(() => parseCanvasFile(bytes("")), "truncated");
});

test("canvas files are the golden ones", () => {
  for (const { name, hex, file } of vectors.good) {
    const got = parseCanvasFile(bytes(hex));
    const shards = got.shards.map((s) => ({ Shard: s.shard, Seq: s.seq, TimeMS: s.timeMS, Packed: btoa(String.fromCharCode(...pack(s.pixels, got.bits))) }));
    equal({ Canvas: Number(got.canvas), Width: got.width, Height: got.height, Bits: got.bits, Shards: shards }, file, name);
    equal(hexOf(formatCanvasFile(got)), hex, name); // with all 64 bits of the canvas id
  }
  for (const { hex, code } of vectors.malformed) throws(() => parseCanvasFile(bytes(hex)), code);
});
