import { Heat, heatBlock, heatHalfLifeMS } from "../src/board/heat";
import { Picture } from "../src/board/picture";
import { faultOf, snapshot } from "../src/board/snapshot";
import { heatRamp } from "../src/render/heat";
import { seen } from "../src/render/vision";
import { prefer, preference } from "../src/preferences";
import { settings } from "../src/ui/dom";
import { say, sayAtRest } from "../src/ui/toasts";
import { close, equal, test } from "./harness";

const size = { width: 1000, height: 600 };
/** A change of cell (x, y) of shard 0, which is 512 cells wide. */
const change = (x: number, y: number) => ((y * 512 + x) << 8) | 3;

function warmthAt(heat: Heat, x: number, y: number, nowMS: number): number {
  const { width, bytes } = heat.field(nowMS);
  return bytes[Math.floor(y / heatBlock) * width + Math.floor(x / heatBlock)];
}

test("heat is where pixels changed, and nowhere else", () => {
  const heat = new Heat(size, 0);
  heat.add(0, Uint32Array.of(change(9, 13)), 1000);
  const { width, height, bytes } = heat.field(1000);
  equal([width, height], [250, 150]);
  equal(bytes.filter((b) => b > 0).length, 1);
  equal(warmthAt(heat, 9, 13, 1000) > 60, true);
});

test("a shard at the rim of the canvas has its heat in its own place", () => {
  const heat = new Heat(size, 0);
  const shard3 = 3; // from 512, 512; 488 cells wide
  heat.add(shard3, Uint32Array.of(((5 * 488 + 8) << 8) | 1), 0);
  equal(warmthAt(heat, 520, 517, 0) > 0, true);
});

test("heat grows with each pixel and never beyond a byte", () => {
  const heat = new Heat(size, 0);
  let before = 0;
  for (let i = 0; i < 5; i++) {
    heat.add(0, Uint32Array.of(change(1, 1)), 0);
    equal(warmthAt(heat, 1, 1, 0) > before, true);
    before = warmthAt(heat, 1, 1, 0);
  }
  heat.add(0, new Uint32Array(10_000).fill(change(1, 1)), 0);
  equal(warmthAt(heat, 1, 1, 0), 255);
});

test("heat halves every two minutes and ends", () => {
  const heat = new Heat(size, 0);
  heat.add(0, Uint32Array.of(change(1, 1), change(1, 1)), 0);
  heat.add(0, Uint32Array.of(change(101, 1)), heatHalfLifeMS);
  equal(warmthAt(heat, 1, 1, heatHalfLifeMS), warmthAt(heat, 101, 1, heatHalfLifeMS));
  equal(warmthAt(heat, 1, 1, 20 * heatHalfLifeMS), 0);
});

test("after a day old and new heat are still in proportion", () => {
  const heat = new Heat(size, 0);
  const day = 86_400_000;
  heat.add(0, Uint32Array.of(change(1, 1)), 0);
  heat.add(0, Uint32Array.of(change(101, 1)), day);
  const fresh = new Heat(size, 0);
  fresh.add(0, Uint32Array.of(change(101, 1)), 0);
  equal([warmthAt(heat, 1, 1, day), warmthAt(heat, 101, 1, day)], [0, warmthAt(fresh, 101, 1, 0)]);
});

test("a canvas that grows keeps its heat", () => {
  const heat = new Heat(size, 0);
  heat.add(0, Uint32Array.of(change(9, 13)), 0);
  const grown = heat.grown({ width: 1400, height: 600 });
  equal(warmthAt(grown, 9, 13, 0), warmthAt(heat, 9, 13, 0));
  equal(grown.field(0).bytes.filter((b) => b > 0).length, 1);
});

test("what is hotter is lighter, and what is cold is clear", () => {
  const ramp = heatRamp();
  const light = (i: number) => 0.3 * ramp[4 * i] + 0.6 * ramp[4 * i + 1] + 0.1 * ramp[4 * i + 2];
  equal(ramp[3], 0);
  for (let i = 1; i < 256; i++) equal(light(i) >= light(i - 1) && ramp[4 * i + 3] >= ramp[4 * i - 1], true, `step ${i}`);
});

test("grey stays grey for everybody, and most people see colours as they are", () => {
  for (const vision of ["all", "protan", "deutan", "tritan", "grey"] as const) {
    for (const grey of [0x000000, 0x808080, 0xffffff]) {
      const got = seen(grey, vision);
      for (const shift of [16, 8, 0]) close((got >> shift) & 0xff, (grey >> shift) & 0xff, 1, vision);
    }
  }
  equal(seen(0x123456, "all"), 0x123456);
});

test("red and green come closer without one of them, blue and green without blue", () => {
  const apart = (a: number, b: number) => Math.hypot((a >> 16) - (b >> 16), ((a >> 8) & 0xff) - ((b >> 8) & 0xff), (a & 0xff) - (b & 0xff));
  const [red, green, blue] = [0xe50000, 0x02be01, 0x0083c7];
  for (const vision of ["protan", "deutan"] as const) {
    equal(apart(seen(red, vision), seen(green, vision)) < apart(red, green) / 2, true, vision);
  }
  equal(apart(seen(blue, "tritan"), seen(green, "tritan")) < apart(blue, green), true);
  equal(seen(red, "grey") >> 16, seen(red, "grey") & 0xff);
});

test("a picture is asked for within the canvas and not larger than memory", () => {
  equal(faultOf({ x: 0, y: 0, width: 1000, height: 600 }, 8, size), "large");
  equal(faultOf({ x: 0, y: 0, width: 1000, height: 600 }, 4, size), null);
  equal(faultOf({ x: 990, y: 590, width: 10, height: 10 }, 8, size), null);
  for (const [x, y, width, height, scale] of [[991, 0, 10, 1, 1], [0, 0, 0, 1, 1], [-1, 0, 5, 5, 1], [0, 0, 1.5, 1, 1], [NaN, 0, 1, 1, 1], [0, 0, 5, 5, 9], [0, 0, 5, 5, 0]]) {
    equal(faultOf({ x, y, width, height }, scale, size), "outside", [x, y, width, height, scale].join());
  }
});

test("a snapshot has the true colours, each cell a square", async () => {
  const picture = new Picture({ width: 4, height: 3 }, 0);
  picture.hope({ number: 1, x: 2, y: 1, color: 1 });
  const blob = await snapshot(picture, [{ rgb: 0xffffff, name: "white" }, { rgb: 0xe50000, name: "red" }], { x: 1, y: 1, width: 3, height: 2 }, 2);
  const bitmap = await createImageBitmap(blob);
  equal([blob.type, bitmap.width, bitmap.height], ["image/png", 6, 4]);
  const context = new OffscreenCanvas(6, 4).getContext("2d") as OffscreenCanvasRenderingContext2D;
  context.drawImage(bitmap, 0, 0);
  const pixel = (x: number, y: number) => Array.from(context.getImageData(x, y, 1, 1).data);
  for (const [x, y] of [[2, 0], [3, 1]]) equal(pixel(x, y), [0xe5, 0, 0, 255], `${x}, ${y}`);
  for (const [x, y] of [[1, 0], [4, 0], [2, 2]]) equal(pixel(x, y), [255, 255, 255, 255], `${x}, ${y}`);
});

test("what another tab chose meanwhile is kept", () => {
  settings.set("preferences", '{"heat":true,"vision":"ultraviolet"}');
  prefer("grid", false);
  equal([settings.get("preferences"), preference("heat")], ['{"heat":true,"grid":false}', false]);
  prefer("grid", true);
  equal(settings.get("preferences"), '{"heat":true}');
});

test("every outcome is said, and of the cursor's way only where it rests", async () => {
  const live = document.createElement("p");
  live.id = "live";
  document.body.append(live);
  sayAtRest("1, 1");
  say("placed");
  say("too early");
  sayAtRest("1, 2");
  await new Promise<void>((resolve) => new MutationObserver(() => live.children.length === 3 && resolve()).observe(live, { childList: true }));
  equal([...live.children].map((child) => child.textContent), ["placed", "too early", "1, 2"]);
  live.remove();
});
