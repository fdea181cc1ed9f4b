import { Camera, scaleMax } from "../src/camera/camera";
import { parsePlace } from "../src/camera/link";
import { formatTemplateLink } from "../src/templates/link";
import { close, equal, test } from "./harness";

function camera(): Camera {
  const c = new Camera({ width: 1000, height: 1000 });
  c.resize(800, 600, { top: 60, right: 0, bottom: 100, left: 0 });
  c.jumpTo(500, 500, 4);
  return c;
}

test("a point of the window and of the canvas are each other's", () => {
  const c = camera();
  const at = c.toBoard(123, 456);
  const back = c.toWindow(at.x, at.y);
  close(back.px, 123, 1e-9);
  close(back.py, 456, 1e-9);
});

test("zooming keeps the canvas point under the pointer", () => {
  const c = camera();
  const before = c.toBoard(200, 150);
  c.zoomAt(2, 200, 150);
  const after = c.toBoard(200, 150);
  close(after.x, before.x, 1e-9);
  close(after.y, before.y, 1e-9);
  equal(c.scale, 8);
});

test("an eased zoom ends where a jump would", () => {
  const a = camera();
  const b = camera();
  a.zoomAt(1.5, 300, 200);
  b.easeZoomAt(1.5, 300, 200);
  for (let i = 0; i < 100 && b.moving; i++) b.step(16);
  equal(b.moving, false);
  close(b.scale, a.scale, 1e-9);
  close(b.x, a.x, 1e-6);
});

test("a flight ends at its goal", () => {
  const c = camera();
  c.flyTo(10, 990, 32);
  for (let i = 0; i < 100 && c.moving; i++) c.step(16);
  equal([c.x, c.y, c.scale, c.moving], [10, 990, 32, false]);
});

test("with less motion every move is a jump", () => {
  const c = camera();
  c.still = true;
  c.flyTo(10, 990, 32);
  equal([c.x, c.y, c.scale, c.moving], [10, 990, 32, false]);
  c.easeZoomAt(0.5, 0, 0);
  equal([c.scale, c.moving], [16, false]);
});

test("the scale has ends and the canvas is never lost", () => {
  const c = camera();
  c.zoomAt(1e9, 0, 0);
  equal(c.scale, scaleMax);
  c.zoomAt(1e-9, 0, 0);
  equal(c.scale, c.scaleMin);
  c.panBy(1e9, -1e9);
  equal([c.x, c.y], [0, 1000]);
});

test("revealing a cell pans no further than it must", () => {
  const c = camera();
  c.reveal(500, 500);
  equal([c.x, c.y], [500, 500]);
  c.reveal(900, 500);
  const { px } = c.toWindow(900.5, 500.5);
  close(px, 800 - 64, 1e-6);
});

test("a panel covers a part of the window: the canvas stays, and what it hides is revealed beside it", () => {
  const c = camera();
  const before = c.toWindow(400.5, 500.5);
  c.cover({ top: 60, right: 350, bottom: 100, left: 0 });
  const after = c.toWindow(400.5, 500.5);
  close(after.px, before.px, 1e-9);
  close(after.py, before.py, 1e-9);
  equal([c.middleX, c.shows(500, 500), c.shows(530, 500)], [225, true, false]);
  c.reveal(530, 500);
  equal(c.shows(530, 500), true);
  close(c.toWindow(530.5, 500.5).px, 800 - 350 - 64, 1e-6);
});

test("where little is free a cell is revealed in the middle half of it", () => {
  const c = camera();
  c.cover({ top: 60, right: 0, bottom: 440, left: 0 });
  c.reveal(500, 900);
  const { py } = c.toWindow(500.5, 900.5);
  close(py, 160 - 25, 1e-6);
});

test("a zoom to a scale ends there, however often it is asked for", () => {
  const c = camera();
  c.easeZoomTo(1, 400, 300);
  c.step(30);
  c.easeZoomTo(1, 400, 300);
  for (let i = 0; i < 100 && c.moving; i++) c.step(16);
  equal(c.scale, 1);
});

test("from 0.1 to 64 every scale can be had, on any canvas", () => {
  for (const side of [3, 500, 1000, 4096]) {
    const c = new Camera({ width: side, height: side });
    c.resize(1200, 800, { top: 64, right: 0, bottom: 100, left: 0 });
    c.zoomAt(1e-9, 0, 0);
    equal(c.scale <= 0.1, true, `${side}: ${c.scale} <= 0.1`);
    c.zoomAt(1e9, 0, 0);
    equal(c.scale, 64);
  }
});

test("a canvas that is larger than the farthest view can still be fitted", () => {
  const c = new Camera({ width: 4096, height: 4096 });
  c.resize(320, 568, { top: 64, right: 0, bottom: 230, left: 0 });
  c.jumpTo(2048, 2048, c.fitScale);
  equal(c.scale, c.fitScale);
  equal(c.fitScale < 0.1, true);
});

test("a flung canvas glides on, slower and slower, and rests", () => {
  const c = camera();
  c.fling(-1, 0.5);
  const ways: number[] = [];
  for (let i = 0; i < 200 && c.moving; i++) {
    const before = c.x;
    c.step(16);
    ways.push(c.x - before);
  }
  equal(c.moving, false);
  equal(ways.every((way, i) => way > 0 && (i === 0 || way < ways[i - 1])), true);
  // Half of the speed is gone every 160 ms: 1 / ms comes to rest after 160 / ln 2.
  close(c.x - 500, 160 / Math.LN2 / 4, 3);
  close(c.y - 500, -160 / Math.LN2 / 8, 3);
});

test("the way of a fling does not depend on the frames", () => {
  const a = camera();
  const b = camera();
  a.fling(2, 0);
  b.fling(2, 0);
  for (let i = 0; i < 300; i++) a.step(8);
  for (let i = 0; i < 60; i++) b.step(40);
  close(a.x, b.x, 1);
});

test("a gliding canvas is held, and a resting one is not", () => {
  const c = camera();
  equal(c.grab(), false);
  c.fling(3, 0);
  c.step(16);
  equal([c.grab(), c.moving], [true, false]);
});

test("with less motion nothing glides, and neither after a slow drag", () => {
  const c = camera();
  c.fling(0.1, 0);
  equal(c.moving, false);
  c.still = true;
  c.fling(3, 0);
  equal(c.moving, false);
});

test("a place is read as people write it", () => {
  for (const text of ["120,44", "120, 44", " 120 44 ", "(120, 44)", "120;44", "#120,44", "https://wall.example/?x=1#120,44", "https://wall.example/?x=120&y=44", "١٢٠، ٤٤", "１２０、４４", "۱۲۰ ۴۴"]) {
    equal(parsePlace(text), { x: 120, y: 44, scale: null }, text);
  }
  equal(parsePlace("120, 44, 2.5"), { x: 120, y: 44, scale: 2.5 });
  const link = formatTemplateLink({ url: "https://host/a.png", x: 1, y: 2, width: null, name: "a b" });
  for (const more of ["", link, "&lang=de"]) equal(parsePlace(`https://wall.example/#7,8,16${more}`), { x: 7, y: 8, scale: 16 }, more);
  equal(parsePlace(`https://wall.example/?x=7&y=8&zoom=16#${link}`), { x: 7, y: 8, scale: 16 });
  for (const bad of ["", "120", "a, b", "-1, 2", "1,2,3,4", "1.5, 2", "https://wall.example/", "https://wall.example/?x=1", "99999, 1"]) equal(parsePlace(bad), null, bad);
});
