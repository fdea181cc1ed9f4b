import "./board.test";
import "./camera.test";
import "./cooldown.test";
import "./gestures.test";
import "./keys.test";
import "./language.test";
import "./looking.test";
import "./net.test";
import "./tally.test";
import "./templates.test";
import "./wire.test";
import { run } from "./harness";

Object.assign(globalThis, { results: run() });
