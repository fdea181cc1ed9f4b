import { Camera, scaleMax } from "../src/camera/camera";
import { close, equal, test } from "./harness";

function camera(): Camera {
  const c = new Camera({ width: 1000, height: 1000 });
  c.resize(800, 600, { top: 60, bottom: 100 });
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
