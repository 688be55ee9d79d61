/** Colours of objects: of one, what stands out on what lies below it; of several, always the same. */

import { pixelsOf } from "./pictures.js";

/** The colour of an object where nothing speaks for another: that of the service's overlays. */
export const TINT = [255, 0, 180];
/** Of objects side by side: told apart by people who see red, green or blue less well, too. */
export const SIDE_BY_SIDE = [
  TINT,
  [0, 229, 255],
  [255, 230, 0],
  [0, 0, 255],
  [153, 102, 0],
  [153, 0, 51],
  [102, 0, 153],
  [255, 153, 102],
  [204, 51, 255],
];
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
 * @param {Below} below the photograph, as `cellsOf` gives it
 * @param {?import("./probability.js").Probability} map where the object is; null for anywhere
 * @returns {number[]} red, green, blue
 */
export function contrasting(below, map = null) {
  const pixels = covered(map).map((cell) => below.subarray(4 * cell, 4 * cell + 3));
  const scores = [TINT, ...OTHERS].map((colour) => contrast(colour, pixels));
  const best = scores.indexOf(Math.max(...scores));
  return scores[best] > scores[0] * RELUCTANCE ? OTHERS[best - 1] : TINT;
}

/** @typedef {Uint8ClampedArray} Below RGBA of the photograph's cells */

/**
 * @param {CanvasImageSource} photograph
 * @returns {Below}
 */
export function cellsOf(photograph) {
  return pixelsOf(photograph, SIDE, SIDE).data;
}

/** The cells that the object covers; all of them where it covers none. */
function covered(map) {
  const all = Array.from({ length: SIDE * SIDE }, (_, cell) => cell);
  if (!map) return all;
  const cells = all.filter((cell) => {
    const x = Math.floor((((cell % SIDE) + 0.5) / SIDE) * map.width);
    const y = Math.floor(((Math.floor(cell / SIDE) + 0.5) / SIDE) * map.height);
    return map.values[y * map.width + x] > 127;
  });
  return cells.length ? cells : all;
}

/** The colour as a pixel of a canvas. */
export function pixelWord(colour, alpha) {
  return new Uint32Array(Uint8Array.of(...colour, alpha).buffer)[0];
}

/** What PASCAL VOC gives the class of an index: its bits go in turn to R, G and B, highest bit first. */
export function vocColour(index) {
  const colour = [0, 0, 0];
  for (let bit = 0; bit < 8; bit++) colour[bit % 3] |= ((index >> bit) & 1) << (7 - Math.floor(bit / 3));
  return colour;
}

export function hexadecimal(colour) {
  return `#${colour.map((level) => hex(level, 2)).join("")}`;
}

export function hex(number, digits) {
  return number.toString(16).padStart(digits, "0");
}

/** For style sheets: `--colour`, and `--on-colour` of what is written on it. */
export function wear(element, colour) {
  const [r, g, b] = colour;
  element.style.setProperty("--colour", `rgb(${colour.join(" ")})`);
  element.style.setProperty("--on-colour", 0.3 * r + 0.59 * g + 0.11 * b > 110 ? "#000" : "#fff");
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
