// A canvas that is never on the page, as large as a shard.

import { shardSide } from "../wire/geometry";

export function offPage(): CanvasRenderingContext2D {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = shardSide;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no 2D context");
  return context;
}
