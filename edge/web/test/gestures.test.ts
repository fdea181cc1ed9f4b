import { aimMS, Gestures, holdMS, type PointerKind } from "../src/input/gestures";
import { close, equal, test } from "./harness";

/** Gestures whose intents are written down; time passes when tick is called. */
function record({ aims = false, glides = false } = {}) {
  const said: string[] = [];
  let due: { f: () => void; atMS: number } | null = null;
  let nowMS = 0;
  let zoom = 1;
  let panned = { x: 0, y: 0 };
  const g = new Gestures({
    hover: () => said.push("hover"),
    tap: (_x, _y, kind) => said.push(`tap ${kind}`),
    hold: () => said.push("hold"),
    aim: (x, y, ripe) => {
      if (aims) said.push(`aim ${x} ${y}${ripe ? " ripe" : ""}`);
      return aims;
    },
    aimed: () => said.push("aimed"),
    grab: () => glides,
    fling: (vx, vy) => said.push(`fling ${vx.toFixed(1)} ${vy.toFixed(1)}`),
    pan: (dx, dy) => {
      panned = { x: panned.x + dx, y: panned.y + dy };
      said.push("pan");
    },
    pinch: (factor) => {
      zoom *= factor;
      said.push("pinch");
    },
    later: (ms, f) => {
      due = { f, atMS: nowMS + ms };
      return () => (due = null);
    },
  });
  const at = (id: number, kind: PointerKind, x: number, y: number) => ({ id, kind, x, y, timeMS: nowMS });
  const tick = (ms: number) => {
    const untilMS = nowMS + ms;
    while (due && due.atMS <= untilMS) {
      const { f, atMS } = due;
      due = null;
      nowMS = atMS;
      f();
    }
    nowMS = untilMS;
  };
  return { g, at, said, zoom: () => zoom, panned: () => panned, tick };
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

test("a finger that rests aims, follows, and taps where it lifts", () => {
  const { g, at, said, tick } = record({ aims: true });
  g.down(at(1, "touch", 100, 100));
  tick(aimMS);
  g.move(at(1, "touch", 140, 90));
  tick(holdMS);
  g.up(at(1, "touch", 140, 90));
  equal(said, ["aim 100 100", "aim 140 90", "aimed", "tap touch"]);
});

test("a finger that aims and stays holds when it lifts", () => {
  const { g, at, said, tick } = record({ aims: true });
  g.down(at(1, "touch", 100, 100));
  tick(holdMS);
  g.up(at(1, "touch", 101, 100));
  equal(said, ["aim 100 100", "aim 100 100 ripe", "aimed", "hold"]);
});

test("a second finger ends the aim", () => {
  const { g, at, said, tick } = record({ aims: true });
  g.down(at(1, "touch", 100, 100));
  tick(aimMS);
  g.down(at(2, "touch", 200, 100));
  g.up(at(2, "touch", 200, 100));
  g.up(at(1, "touch", 100, 100));
  equal(said, ["aim 100 100", "aimed"]);
});

test("a quick drag is flung, one that came to rest is not", () => {
  for (const [restMS, want] of [[0, ["fling 1.0 -0.5"]], [200, []]] as const) {
    const { g, at, said, tick } = record();
    g.down(at(1, "touch", 100, 100));
    for (let i = 1; i <= 6; i++) {
      tick(16);
      g.move(at(1, "touch", 100 + 16 * i, 100 - 8 * i));
    }
    tick(restMS);
    g.up(at(1, "touch", 196, 52));
    equal(said.filter((s) => s !== "pan"), want);
  }
});

test("a jump of one event is no fling", () => {
  const { g, at, said, tick } = record();
  g.down(at(1, "mouse", 100, 100));
  tick(5);
  g.move(at(1, "mouse", 300, 100));
  g.up(at(1, "mouse", 300, 100));
  equal(said, ["pan"]);
});

test("the pointer that stops a gliding canvas does not tap", () => {
  const { g, at, said, tick } = record({ glides: true, aims: true });
  g.down(at(1, "touch", 100, 100));
  tick(holdMS);
  g.up(at(1, "touch", 100, 100));
  equal(said, []);
});
