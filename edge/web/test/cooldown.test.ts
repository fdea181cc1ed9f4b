import { Cooldown } from "../src/ui/cooldown";
import { ReadyEdge } from "../src/ui/ready";
import { close, equal, test } from "./harness";

function after(allowance: { available: number; max: number; nextMS: number }, aheadMS = 0): Cooldown {
  const c = new Cooldown();
  c.configure(5000, allowance.max);
  c.setAhead(aheadMS);
  c.setAllowance(allowance);
  return c;
}

test("the countdown runs on the server's clock", () => {
  const c = after({ available: 0, max: 1, nextMS: 105_000 }, 3_600_000 - 100_000); // this computer is an hour behind
  equal(c.available(-3_400_000), 0);
  const now = 100_000 - (3_600_000 - 100_000);
  equal(c.remainingMS(now), 5000);
  equal(c.remainingMS(now + 4999), 1);
  equal(c.available(now + 5000), 1);
  equal(c.remainingMS(now + 5000), 0);
});

test("a stack fills one by one up to its height", () => {
  const c = after({ available: 1, max: 4, nextMS: 10_000 });
  equal([0, 9_999, 10_000, 15_000, 20_000, 99_000].map((now) => c.available(now)), [1, 1, 2, 3, 4, 4]);
  equal(c.remainingMS(12_000), 3000);
  equal(c.remainingMS(25_000), 0);
});

test("a placement under way counts before its answer", () => {
  const c = after({ available: 1, max: 1, nextMS: 0 });
  c.spend(1000);
  equal(c.available(1000), 0);
  equal(c.remainingMS(2000), 4000);
  close(c.progress(3500), 0.5, 1e-9);
});

test("a refused placement is given back", () => {
  const c = after({ available: 1, max: 1, nextMS: 0 });
  c.spend(1000);
  c.giveBack(1200);
  equal(c.available(1200), 1);
  equal(c.remainingMS(1200), 0);
});

test("a spend from a full stack of three leaves two and one comes back in time", () => {
  const c = after({ available: 3, max: 3, nextMS: 0 });
  c.spend(0);
  equal(c.available(0), 2);
  c.spend(1000);
  equal(c.available(1000), 1);
  equal(c.remainingMS(1000), 4000);
  equal(c.available(5000), 2);
});

test("without a cooldown nothing is counted", () => {
  const c = new Cooldown();
  c.configure(0, 1);
  equal(c.available(0), 1);
  equal(c.remainingMS(0), 0);
});

test("before the server has said anything nothing may be placed", () => {
  const c = new Cooldown();
  c.configure(5000, 1);
  equal(c.available(0), 0);
});

test("a countdown that runs out is ready once", () => {
  const edge = new ReadyEdge();
  equal(edge.update(0, 0, 5000), false);
  equal(edge.dueMS, 5000);
  equal(edge.update(4000, 0, 1000), false);
  equal(edge.update(5010, 1, 0), true);
  equal(edge.update(5200, 1, 0), false);
});

test("nothing is announced at the start, nor for a pixel that was given back", () => {
  const edge = new ReadyEdge();
  equal(edge.update(0, 0, 0), false); // the server has not said anything yet
  equal(edge.update(100, 1, 0), false);
  edge.update(200, 0, 5000);
  equal(edge.update(400, 1, 0), false);
});

test("a page that slept through the end still announces it, once", () => {
  const edge = new ReadyEdge();
  edge.update(0, 0, 5000);
  equal([edge.update(90_000, 1, 0), edge.update(90_200, 1, 0)], [true, false]);
});
