// Colours as light: sRGB's curve, once for everybody who counts with it.

/** The share of full light that a byte of an sRGB colour stands for. */
export function toLinear(byte: number): number {
  const v = byte / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}
