import { Gestures, holdMS, type PointerKind } from "../src/input/gestures";
import { close, equal, test } from "./harness";

/** Gestures whose intents are written down; time passes when tick is called. */
function record() {
  const said: string[] = [];
  let due: { f: () => void; ms: number } | null = null;
  let zoom = 1;
  let panned = { x: 0, y: 0 };
  const g = new Gestures({
    hover: () => said.push("hover"),
    tap: (_x, _y, kind) => said.push(`tap ${kind}`),
    hold: () => said.push("hold"),
    pan: (dx, dy) => {
      panned = { x: panned.x + dx, y: panned.y + dy };
      said.push("pan");
    },
    pinch: (factor) => {
      zoom *= factor;
      said.push("pinch");
    },
    later: (ms, f) => {
      due = { f, ms };
      return () => (due = null);
    },
  });
  const at = (id: number, kind: PointerKind, x: number, y: number) => ({ id, kind, x, y });
  return { g, at, said, zoom: () => zoom, panned: () => panned, tick: (ms: number) => due && ms >= due.ms && due.f() };
}

test("a click that does not move is a tap", () => {
  const { g, at, said } = record();
  g.down(at(1, "mouse", 10, 10));
  g.move(at(1, "mouse", 12, 11));
  g.up(at(1, "mouse", 12, 11));
  equal(said, ["tap mouse"]);
});

test("a drag pans by all of its way and does not tap", () => {
  const { g, at, said, panned } = record();
  g.down(at(1, "mouse", 10, 10));
  for (const x of [12, 30, 60]) g.move(at(1, "mouse", x, 10));
  g.up(at(1, "mouse", 60, 10));
  equal(panned(), { x: 50, y: 0 });
  equal(said.includes("tap mouse"), false);
});

test("a drag that comes back to where it began does not tap", () => {
  const { g, at, said, panned } = record();
  g.down(at(1, "touch", 10, 10));
  g.move(at(1, "touch", 80, 10));
  g.move(at(1, "touch", 10, 10));
  g.up(at(1, "touch", 10, 10));
  equal(panned(), { x: 0, y: 0 });
  equal(said.filter((s) => s.startsWith("tap")), []);
});

test("a finger may tremble more than a mouse", () => {
  const { g, at, said } = record();
  g.down(at(1, "touch", 10, 10));
  g.move(at(1, "touch", 16, 14));
  g.up(at(1, "touch", 16, 14));
  equal(said, ["tap touch"]);
});

test("two fingers that part double the scale and none of them taps", () => {
  const { g, at, said, zoom } = record();
  g.down(at(1, "touch", 100, 100));
  g.down(at(2, "touch", 200, 100));
  for (let i = 1; i <= 10; i++) {
    g.move(at(1, "touch", 100 - 5 * i, 100));
    g.move(at(2, "touch", 200 + 5 * i, 100));
  }
  g.up(at(1, "touch", 50, 100));
  g.up(at(2, "touch", 250, 100));
  close(zoom(), 2, 1e-9, "scale");
  equal(said.filter((s) => s.startsWith("tap")), []);
});

test("two fingers that lie still and lift do not tap", () => {
  const { g, at, said } = record();
  g.down(at(1, "touch", 100, 100));
  g.down(at(2, "touch", 200, 100));
  g.up(at(2, "touch", 200, 100));
  g.up(at(1, "touch", 100, 100));
  equal(said, []);
});

test("the finger that is left after a pinch pans and does not tap", () => {
  const { g, at, said } = record();
  g.down(at(1, "touch", 100, 100));
  g.down(at(2, "touch", 200, 100));
  g.up(at(2, "touch", 200, 100));
  g.move(at(1, "touch", 103, 100));
  g.up(at(1, "touch", 103, 100));
  equal(said, ["pan"]);
});

test("a finger that stays holds, and does not tap as well", () => {
  const { g, at, said, tick } = record();
  g.down(at(1, "touch", 100, 100));
  tick(holdMS);
  g.up(at(1, "touch", 100, 100));
  equal(said, ["hold"]);
});

test("a cancelled finger does nothing", () => {
  const { g, at, said, tick } = record();
  g.down(at(1, "touch", 100, 100));
  g.cancel(1);
  tick(holdMS);
  g.up(at(1, "touch", 100, 100));
  equal(said, []);
});

test("a mouse without a button hovers, a finger never does", () => {
  const { g, at, said } = record();
  g.move(at(1, "mouse", 1, 1));
  g.move(at(2, "touch", 1, 1));
  equal(said, ["hover"]);
});
