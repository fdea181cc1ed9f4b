// How people who see fewer colours see the palette. Only what is shown changes:
// a colour keeps its number, and a saved picture its true colours.
//
// The three matrices are those for severity 1.0 of Machado, Oliveira, Fernandes,
// "A Physiologically-based Model for Simulation of Color Vision Deficiency"
// (IEEE TVCG 15/6, 2009, doi 10.1109/TVCG.2009.113), on linear RGB; grey is the
// relative luminance of WCAG.

import { toLinear } from "../color";
import type { Preferences } from "../preferences";
import type { Color } from "../wire/messages";

type Vision = Preferences["vision"];
type Matrix = readonly (readonly [number, number, number])[];

const luminance = [0.2126, 0.7152, 0.0722] as const;

const matrices: Record<Exclude<Vision, "all">, Matrix> = {
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
  grey: [luminance, luminance, luminance],
};

/** rgb as somebody with this vision sees it. */
export function seen(rgb: number, vision: Vision): number {
  if (vision === "all") return rgb;
  const linear = [rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff].map(toLinear);
  const [red, green, blue] = matrices[vision].map((row) => toByte(row[0] * linear[0] + row[1] * linear[1] + row[2] * linear[2]));
  return (red << 16) | (green << 8) | blue;
}

export function seenAll(colors: Color[], vision: Vision): Color[] {
  return colors.map((c) => ({ ...c, rgb: seen(c.rgb, vision) }));
}

function toByte(linear: number): number {
  const v = Math.min(1, Math.max(0, linear));
  return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}
