// The canvas as a grid of shards. A shard's id is the Morton code of its column
// and row, so growing the canvas renames nothing.

export const shardSide = 512;

export interface Size {
  width: number;
  height: number;
}

export function shardID(column: number, row: number): number {
  return spread(column) | (spread(row) << 1);
}

export function shardColumn(id: number): number {
  return (id & 1) | ((id >> 1) & 2) | ((id >> 2) & 4);
}

export function shardRow(id: number): number {
  return shardColumn(id >> 1);
}

export function shardAt(x: number, y: number): number {
  return shardID(x >> 9, y >> 9);
}

/** The columns and rows of a shard that the canvas fills; 0 × 0 outside. */
export function shardArea(size: Size, id: number): Size {
  const width = Math.min(shardSide, size.width - shardColumn(id) * shardSide);
  const height = Math.min(shardSide, size.height - shardRow(id) * shardSide);
  return width > 0 && height > 0 ? { width, height } : { width: 0, height: 0 };
}

/** All shards of a canvas, rising. */
export function shardsOf(size: Size): number[] {
  return shardsIn(size, 0, 0, size.width, size.height);
}

/** The shards that the rectangle from (left, top) to before (right, bottom) touches, rising. */
export function shardsIn(size: Size, left: number, top: number, right: number, bottom: number): number[] {
  const ids: number[] = [];
  const first = (v: number) => Math.max(0, Math.floor(v) >> 9);
  const last = (v: number, side: number) => (Math.min(side, Math.ceil(v)) - 1) >> 9;
  for (let row = first(top); row <= last(bottom, size.height); row++) {
    for (let column = first(left); column <= last(right, size.width); column++) ids.push(shardID(column, row));
  }
  return ids.sort((a, b) => a - b);
}

function spread(v: number): number {
  return (v & 1) | ((v & 2) << 1) | ((v & 4) << 2);
}
