/** The colour of an object: one that stands out on what lies below it. */

import { pixelsOf } from "./pictures.js";
import { TINT } from "./mask.js";

const OTHERS = [
  [0, 229, 255],
  [255, 230, 0],
  [64, 255, 64],
  [255, 96, 0],
];
const SIDE = 48; // the photograph is looked at in so many cells across and down
const LEAST_SHARE = 0.2; // how well a colour shows is how well it does where it does worst
const RELUCTANCE = 1.5; // one colour for nearly all is easier on the eye

/**
 * @param {CanvasImageSource} photograph
 * @param {?import("./probability.js").Probability} map where the object is; null for anywhere
 * @returns {number[]} red, green, blue
 */
export function contrasting(photograph, map = null) {
  const { data } = pixelsOf(photograph, SIDE, SIDE);
  const below = cellsOf(map).map((cell) => data.subarray(4 * cell, 4 * cell + 3));
  const scores = [TINT, ...OTHERS].map((colour) => contrast(colour, below));
  const best = scores.indexOf(Math.max(...scores));
  return scores[best] > scores[0] * RELUCTANCE ? OTHERS[best - 1] : TINT;
}

/** The cells that the object covers; all of them where it covers none. */
function cellsOf(map) {
  const all = Array.from({ length: SIDE * SIDE }, (_, cell) => cell);
  if (!map) return all;
  const covered = all.filter((cell) => {
    const x = Math.floor((((cell % SIDE) + 0.5) / SIDE) * map.width);
    const y = Math.floor(((Math.floor(cell / SIDE) + 0.5) / SIDE) * map.height);
    return map.values[y * map.width + x] > 127;
  });
  return covered.length ? covered : all;
}

function contrast(colour, below) {
  const distances = below.map((pixel) => distance(colour, pixel)).sort((a, b) => a - b);
  return distances[Math.floor(distances.length * LEAST_SHARE)];
}

/** As the eye sees it, roughly: the "redmean" of CompuPhase. */
function distance([r, g, b], [red, green, blue]) {
  const mean = (r + red) / 2;
  const [dr, dg, db] = [r - red, g - green, b - blue];
  return Math.sqrt((2 + mean / 256) * dr * dr + 4 * dg * dg + (2 + (255 - mean) / 256) * db * db);
}
