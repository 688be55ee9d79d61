/** The network's answer as the page keeps it: one byte a pixel, thresholded and drawn here. */

import { TINT } from "./mask.js";
import { decodePhotograph, pixelsOf } from "./pictures.js";

const OUTLINE_SHARE = 1 / 300; // of the longer side

/** @typedef {{width: number, height: number, values: Uint8Array}} Probability 255 is certain. */

/**
 * @param {Blob} png the service's 8-bit grey probability
 * @param {number} side keep at most this many pixels on the longer side
 * @returns {Promise<Probability>}
 */
export async function readProbability(png, side) {
  const { bitmap } = await decodePhotograph(png, side);
  const { width, height } = bitmap;
  const { data } = pixelsOf(bitmap, width, height);
  bitmap.close();
  const values = new Uint8Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i];
  return { width, height, values };
}

/** Share of the photograph that is object (0..1), and the object's mean probability. */
export function measure({ values }, threshold) {
  let [pixels, sum] = [0, 0];
  for (const value of values) {
    if (value > threshold * 255) {
      pixels += 1;
      sum += value;
    }
  }
  return { share: pixels / values.length, score: pixels ? sum / pixels / 255 : 0 };
}

/**
 * Tint and outline the object; everything else stays transparent.
 * @param {HTMLCanvasElement} canvas gets the map's size
 * @param {Probability} map
 * @param {{threshold: number, opacity: number, outline: boolean}} view
 */
export function drawOverlay(canvas, map, { threshold, opacity, outline }) {
  const { width, height, values } = map;
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  // An alpha of 1 can hardly be seen, but tells object from background in the canvas itself.
  const tint = pixelWord(TINT, Math.max(1, Math.round(255 * opacity)));
  const edge = pixelWord(TINT, 255);
  const reach = Math.max(1, Math.round(Math.max(width, height) * OUTLINE_SHARE));
  const isObject = Uint8Array.from(values, (value) => Number(value > threshold * 255));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!isObject[i]) continue;
      const inside =
        (x < reach || isObject[i - reach]) &&
        (x >= width - reach || isObject[i + reach]) &&
        (y < reach || isObject[i - reach * width]) &&
        (y >= height - reach || isObject[i + reach * width]);
      words[i] = outline && !inside ? edge : tint;
    }
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function pixelWord(colour, alpha) {
  return new Uint32Array(Uint8Array.of(...colour, alpha).buffer)[0];
}
