import { parseLink } from "../src/camera/link";
import { toWidth } from "../src/templates/blocks";
import { gather, parseList, type List } from "../src/templates/community";
import { formatTemplateLink, parseTemplateLink } from "../src/templates/link";
import { mapToPalette, Nearest, oklab } from "../src/templates/mapping";
import { Overlay } from "../src/templates/overlay";
import { Pace } from "../src/templates/pace";
import { inParallel, listedNow } from "../src/templates/intake";
import { addressIn } from "../src/templates/sources";
import { frameAt, none, type Distance, type Dithering } from "../src/templates/template";
import { Trouble } from "../src/templates/trouble";
import { close, equal, test } from "./harness";

const [black, white, red] = [0x000000, 0xffffff, 0xe50000];

/** A row of 0xRRGGBBAA pixels. */
const rgba = (...pixels: number[]) => Uint8ClampedArray.from(pixels.flatMap((p) => [p >>> 24, (p >>> 16) & 0xff, (p >>> 8) & 0xff, p & 0xff]));
const map = (pixels: number[], palette: number[], distance: Distance = "rgb", dithering: Dithering = "none", width = pixels.length) =>
  Array.from(mapToPalette(rgba(...pixels), width, palette, distance, dithering));

test("a palette colour stays what it is, in every way of mapping", () => {
  const pixels = [0xe50000ff, 0x000000ff, 0xffffffff, 0xe50000ff];
  for (const distance of ["rgb", "oklab"] as const) {
    for (const dithering of ["none", "ordered", "diffusion"] as const) equal(map(pixels, [black, white, red], distance, dithering), [2, 0, 1, 2], `${distance} ${dithering}`);
  }
});

test("what is more than half transparent is no part of a template", () => {
  equal(map([0xe500007f, 0xe5000080, 0x00000000], [black, red]), [none, 1, none]);
});

test("what is nearest depends on the distance", () => {
  const palette = [0x222222, 0x0083c7];
  equal([new Nearest(palette, "rgb").of(0x006060), new Nearest(palette, "oklab").of(0x006060)], [0, 1]);
});

test("OKLab is that of CSS Color 4", () => {
  for (const [rgb, want] of [[0xff0000, [0.628, 0.2249, 0.1258]], [0xffffff, [1, 0, 0]], [0x00ff00, [0.8664, -0.2339, 0.1795]]] as const) {
    oklab(rgb).forEach((have, i) => close(have, want[i], 0.0001, `${rgb.toString(16)} ${i}`));
  }
});

test("dithering gives a middle grey as much black as white", () => {
  for (const dithering of ["ordered", "diffusion"] as const) {
    const cells = map(new Array<number>(64 * 64).fill(0x808080ff), [black, white], "rgb", dithering, 64);
    close(cells.filter((c) => c === 1).length / cells.length, 0.5, 0.06, dithering);
  }
  equal(map(new Array<number>(16).fill(0x909090ff), [black, white]).every((c) => c === 1), true, "without");
});

test("diffusion carries nothing into a transparent pixel or over the rim", () => {
  equal(map([0x808080ff, 0, 0x808080ff, 0], [black, white], "rgb", "diffusion", 2), [1, none, 0, none]);
});

test("blocks become the colour that most of their opaque pixels have", () => {
  const o = 0; // transparent
  const image = { width: 4, height: 2, rgba: rgba(o, 0xe50000ff, 0x000000ff, 0x000000ff, o, o, 0x000000ff, 0xe50000ff) };
  const small = toWidth(image, 2);
  equal([small.width, small.height, Array.from(mapToPalette(small.rgba, 2, [black, red], "rgb", "none"))], [2, 1, [1, 0]]);
  const wide = toWidth({ width: 1, height: 1, rgba: rgba(0xe50000ff) }, 3);
  equal([wide.width, wide.height, wide.rgba.length], [3, 3, 36]);
});

test("a template link gives back what it was made of", () => {
  const link = { url: "https://host/a b.png?x=1&y=2", x: -3, y: 40, width: 200, name: "Äpfel & more" };
  const hash = `#120,80,20${formatTemplateLink(link)}`;
  equal(parseTemplateLink(hash), link);
  equal(parseLink(hash), { x: 120, y: 80, scale: 20 });
});

test("links of Pxls are understood", () => {
  const hash = "#x=10&y=20&scale=5&template=https%3A%2F%2Fi.host%2Ft.png&ox=7&oy=9&tw=64&oo=1&title=Face";
  equal(parseTemplateLink(hash), { url: "https://i.host/t.png", x: 7, y: 9, width: 64, name: "Face" });
  equal(parseLink(hash), { x: 10, y: 20, scale: 5 });
  equal(parseTemplateLink("#template=https://i.host/t.png&ox=x&tw=0"), { url: "https://i.host/t.png", x: null, y: null, width: null, name: "" });
  equal([parseTemplateLink("#12,13,4"), parseTemplateLink(""), parseLink("#template=https://i.host/t.png")], [null, null, null]);
});

test("an address is an address and other text is not", () => {
  equal(["https://a.b/c.png", " http://a.b ", "data:image/png;base64,AA=="].map((a) => addressIn(a) !== null), [true, true, true]);
  equal(["hello", "javascript:alert(1)", "https://", "a https://a.b", "file:///etc/passwd", ""].map(addressIn), [null, null, null, null, null, null]);
});

const listOf = (value: unknown) => parseList(JSON.stringify(value), "https://host/lists/main.json");

test("a community's list is read, relative addresses and animations with it", () => {
  const { templates } = listOf({
    faction: "f", contact: "c",
    templates: [
      { name: "one", sources: ["a.png", "https://other/a.png"], x: 5, y: -6 },
      { name: "two", sources: ["https://other/b.png"], x: 1, y: 2, frameWidth: 10, frameHeight: 8, frameCount: 3, frameRate: 60, startTime: 1000 },
      { name: "no source", sources: [], x: 1, y: 2 },
      { name: "no place", sources: ["a.png"], x: "1", y: 2 },
      null, 7, "x",
    ],
  });
  equal(templates, [
    { name: "one", sources: ["https://host/lists/a.png", "https://other/a.png"], list: "https://host/lists/main.json", x: 5, y: -6, frames: null },
    { name: "two", sources: ["https://other/b.png"], list: "https://host/lists/main.json", x: 1, y: 2, frames: { width: 10, height: 8, count: 3, seconds: 60, start: 1000, looping: true } },
  ]);
});

test("what is no list says so", () => {
  for (const text of ["", "{", "[]", "7", "null", `{"a":1}`, `{"templates":7}`]) {
    let key = "";
    try {
      parseList(text, "https://host/");
    } catch (err) {
      key = (err as Trouble).key;
    }
    equal(key, "template.trouble.json", text);
  }
});

test("whitelists are followed once, blacklists are not", async () => {
  const one = (name: string, more: object = {}): List => listOf({ templates: [{ name, sources: ["https://i/t.png"], x: 0, y: 0 }], ...more });
  const lists: Record<string, List> = {
    "https://a/": one("a", { whitelist: [{ name: "back", url: "https://host/lists/main.json" }, "https://b/"], blacklist: [{ name: "enemy" }] }),
    "https://b/": one("b", { whitelist: [{ name: "enemy", url: "https://d/" }, { url: "https://a/" }] }),
    "https://d/": one("d"),
  };
  const asked: string[] = [];
  const found = await gather(
    one("main", { whitelist: [{ url: "https://a/" }, { url: "https://gone/" }, { url: "https://c/" }], blacklist: ["https://c/"] }),
    "https://host/lists/main.json",
    (url) => {
      asked.push(url);
      return lists[url] ? Promise.resolve(lists[url]) : Promise.reject(new Trouble("template.trouble.host"));
    },
  );
  equal([found.templates.map((t) => t.name), found.unread, asked], [["main", "a", "b"], 1, ["https://a/", "https://gone/", "https://b/"]]);
});

test("a list that leads on and on is left after so many", async () => {
  let n = 0;
  const next = () => listOf({ templates: [], whitelist: Array.from({ length: 9 }, () => ({ url: `https://a/${n++}` })) });
  let asked = 0;
  await gather(next(), "https://a/", () => {
    asked++;
    return Promise.resolve(next());
  });
  equal(asked, 19);
});

test("the frame that is due", () => {
  const frames = { width: 1, height: 1, count: 3, seconds: 10, start: 100, looping: true };
  equal([95, 100, 109, 110, 129, 130].map((s) => frameAt(frames, s)), [2, 0, 0, 1, 2, 0]);
  equal([0, 115, 1000].map((s) => frameAt({ ...frames, looping: false }, s)), [0, 1, 2]);
  equal(frameAt(null, 5), 0);
});

test("a pace is told after a while, of the last minutes only", () => {
  const pace = new Pace();
  pace.add(0, 1000);
  pace.add(10_000, 990);
  equal([pace.perMinute(10_000), pace.remainingMS(10_000)], [null, null]);
  pace.add(60_000, 940);
  equal([pace.perMinute(60_000), pace.remainingMS(60_000)], [60, (940 / 60) * 60_000]);
  for (let s = 65; s <= 420; s += 5) pace.add(s * 1000, 940); // nobody paints any more
  equal([pace.perMinute(420_000), pace.remainingMS(420_000)], [0, null]);
  pace.add(440_000, 980);
  equal((pace.perMinute(440_000) ?? 0) < 0, true, "losing");
});

test("of two templates the first is on top, and a hidden colour shows what is below", () => {
  const overlay = new Overlay();
  const shape = (cells: number[]) => ({ width: cells.length, height: 1, cells: Uint16Array.from(cells) });
  const slot = { opacity: 1, dots: true, highlight: false };
  const seen = new Map<number, Uint8Array>();
  const renderer = { uploadOverlay: (shard: number, tile: Uint8Array) => void seen.set(shard, tile.slice()), setSlots: () => {} };
  const size = { width: 600, height: 4 };
  overlay.show(size, [
    { ...slot, shape: shape([5, none, 6]), x: 510, y: 0, hidden: [6] },
    { ...slot, shape: shape([1, 2, 3, 4]), x: 509, y: 0, hidden: [] },
  ]);
  overlay.flush(renderer);
  equal([Array.from(seen.get(0)?.subarray(2 * 509, 2 * 512) ?? []), Array.from(seen.get(1)?.subarray(0, 4) ?? [])], [[1, 2, 5, 1, 3, 2], [4, 2, 0, 0]]);
  seen.clear();
  overlay.show(size, [{ ...slot, shape: shape([7]), x: -1, y: 0, hidden: [] }, { ...slot, shape: shape([8]), x: 0, y: 3, hidden: [] }]);
  overlay.flush(renderer);
  equal([Array.from(seen.get(0)?.subarray(0, 2) ?? []), seen.get(0)?.[2 * 3 * 512], seen.get(1)?.some((v) => v > 0)], [[0, 0], 8, false]);
});

test("where templates change only those tiles are made anew, and few at a time", () => {
  const overlay = new Overlay();
  const size = { width: 2048, height: 512 };
  const slot = { opacity: 1, dots: true, highlight: false, hidden: [] };
  const cell = { width: 1, height: 1, cells: Uint16Array.of(3) };
  const wide = { width: 2048, height: 1, cells: new Uint16Array(2048) };
  let came: number[] = [];
  let slots = 0;
  const renderer = { uploadOverlay: (shard: number) => void came.push(shard), setSlots: () => void slots++ };
  const flush = (most?: number) => {
    came = [];
    return [overlay.flush(renderer, most), came.length, slots];
  };
  const show = (x: number) => overlay.show(size, [{ ...slot, shape: cell, x, y: 0 }, { ...slot, shape: wide, x: 0, y: 5 }]);
  show(0);
  show(0);
  equal([flush(3), flush(3)], [[true, 3, 0], [false, 1, 1]], "the slots come with the last of the tiles");
  show(0);
  equal(flush(), [false, 0, 2]);
  show(600);
  equal(flush(), [false, 2, 3]);
  equal([came.includes(0), came.includes(1)], [true, true]);
});

test("images are fetched a few at a time, and come back in order", async () => {
  let [now, most] = [0, 0];
  const results = await inParallel([5, 4, 3, 2, 1, 0], async (ticks) => {
    most = Math.max(most, ++now);
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    now--;
    return 10 * ticks;
  });
  equal([results, most], [[50, 40, 30, 20, 10, 0], 4]);
});

test("a list is asked what it says of its template by now", async () => {
  const item = { name: "one", sources: ["https://host/new.png"], x: 7, y: 8 };
  const list = `data:application/json;base64,${btoa(JSON.stringify({ templates: [{ ...item, name: "other", sources: ["https://host/other.png"] }, item] }))}`;
  const ask = async (list: string | null, name: string, source: string) => (await listedNow({ list, name, sources: [source] }))?.name ?? null;
  equal([await ask(list, "one", "https://host/old.png"), await ask(list, "renamed", "https://host/other.png"), await ask(list, "gone", "https://host/old.png")], ["one", "other", null]);
  equal([await ask(null, "one", ""), await ask("data:application/json;base64,e30=", "one", "")], [null, null]);
  equal((await listedNow({ list, name: "one", sources: [""] }))?.x, 7);
});
