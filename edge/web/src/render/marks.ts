// How templates look on the canvas; the same numbers for both renderers.

/** From this scale on, in device pixels a cell, a template is drawn inside the cells. */
export const nearScale = 4;
/** Half a dot's side, in cells. */
export const dotReach = 0.22;
/** The frame around a wrong pixel: magenta outside, white inside, to be seen on any colour. */
export const frameRGB = [255, 0, 170] as const;
export const frameShare = 0.1; // of a cell
export const frameMin = 1.5; // device pixels
/** How strong a wrong pixel's mark is where cells are too small for a frame. */
export const farMark = 0.85;
