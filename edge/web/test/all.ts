import "./board.test";
import "./camera.test";
import "./cooldown.test";
import "./gestures.test";
import "./keys.test";
import "./looking.test";
import "./net.test";
import "./wire.test";
import { run } from "./harness";

Object.assign(globalThis, { results: run() });
