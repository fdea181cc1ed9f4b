import { keyOf, Keys } from "../src/input/keys";
import { equal, test } from "./harness";

const press = (key: string, timeMS = 0, shift = false) => ({ key, shift, timeMS });

test("the arrows move the cursor by one, with Shift by ten", () => {
  const keys = new Keys();
  equal(keys.read(press("ArrowLeft"), 16), { kind: "cursor", dx: -1, dy: 0 });
  equal(keys.read(press("ArrowDown", 0, true), 16), { kind: "cursor", dx: 0, dy: 10 });
});

test("a key counts by its place where the layout has no Latin letters, or no digits without Shift", () => {
  const of = (key: string, code: string, shiftKey = false) => keyOf({ key, code, shiftKey });
  equal([of("ق", "KeyR"), of("ц", "KeyW"), of("&", "Digit1"), of("1", "Digit1", true)], ["r", "w", "1", "1"]);
  equal([of("a", "KeyQ"), of("W", "KeyW", true), of("?", "Minus", true), of("Enter", "Enter"), of("ArrowUp", "ArrowUp"), of("@", "Digit0", true)], ["a", "W", "?", "Enter", "ArrowUp", "@"]);
  equal([of("-", "Digit6"), of("6", "Digit6", true)], ["-", "6"], "a character that is a command wins");
});

test("digits choose colours, 0 the tenth", () => {
  const keys = new Keys();
  equal(keys.read(press("1", 0), 16), { kind: "color", index: 0 });
  equal(keys.read(press("0", 5000), 16), { kind: "color", index: 9 });
});

test("two digits in a moment choose a later colour", () => {
  const keys = new Keys();
  keys.read(press("3", 0), 40);
  equal(keys.read(press("7", 300), 40), { kind: "color", index: 36 });
});

test("two digits far apart are two colours", () => {
  const keys = new Keys();
  keys.read(press("3", 0), 40);
  equal(keys.read(press("7", 3000), 40), { kind: "color", index: 6 });
});

test("a second digit that leads beyond the palette begins anew", () => {
  const keys = new Keys();
  keys.read(press("3", 0), 32);
  equal(keys.read(press("7", 300), 32), { kind: "color", index: 6 });
});

test("a digit beyond a small palette is nothing", () => {
  equal(new Keys().read(press("7"), 3), null);
});

test("with single keys off, letters and digits do nothing and arrows still work", () => {
  const keys = new Keys();
  keys.single = false;
  for (const key of ["1", "w", "+", "?", "j"]) equal(keys.read(press(key), 16), null, key);
  equal(keys.read(press("Enter"), 16), { kind: "place" });
  equal(keys.read(press("Enter", 0, true), 16), { kind: "inspect" });
});
