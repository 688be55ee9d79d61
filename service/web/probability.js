/** The network's answer as the page keeps it: one byte a pixel, thresholded and drawn here. */

import { decodePhotograph, pixelsOf } from "./pictures.js";

const LINE = [255, 255, 255];
const RIM = [0, 0, 0];
const LINE_SHARE = 1 / 160; // of the longer side, which a card shows at half the size

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

/** How many pixels have each of the 256 values: enough to measure the object at any threshold. */
export function tallyOf({ values }) {
  const tally = new Uint32Array(256);
  for (const value of values) tally[value] += 1;
  return tally;
}

/** Share of the photograph that is object (0..1), and the object's mean probability. */
export function measure(tally, threshold) {
  let [all, pixels, sum] = [0, 0, 0];
  tally.forEach((count, value) => {
    all += count;
    if (value <= threshold * 255) return;
    pixels += count;
    sum += count * value;
  });
  return { share: pixels / all, score: pixels ? sum / pixels / 255 : 0 };
}

/** The object at the threshold, as `decodeMask` gives a mask's. */
export function objectIn({ width, height, values }, threshold) {
  return { width, height, object: Uint8Array.from(values, (value) => Number(value > threshold * 255)) };
}

/**
 * Tint the object and draw a line inside its edge, white with a dark rim: one of both is seen on any
 * photograph. Everything else stays transparent.
 * @param {HTMLCanvasElement} canvas gets the map's size
 * @param {Probability} map
 * @param {{threshold: number, opacity: number, outline: boolean, colour: number[]}} view
 */
export function drawOverlay(canvas, map, { threshold, opacity, outline, colour }) {
  const { width, height, values } = map;
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const limit = threshold * 255;
  // An alpha of 1 can hardly be seen, but tells object from background in the canvas itself.
  const tint = pixelWord(colour, Math.max(1, Math.round(255 * opacity)));
  for (let i = 0; i < words.length; i++) if (values[i] > limit) words[i] = tint;
  if (outline) drawLine(words, map, limit);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function drawLine(words, { width, height, values }, limit) {
  const [line, rim] = [pixelWord(LINE, 255), pixelWord(RIM, 255)];
  const near = Math.max(1, Math.round(Math.max(width, height) * LINE_SHARE));
  const far = near + Math.max(1, near >> 1);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (values[i] <= limit) continue;
      if (isWithin(values, width, height, x, y, far, limit)) continue;
      words[i] = isWithin(values, width, height, x, y, near, limit) ? rim : line;
    }
  }
}

/** Whether the object goes on for `reach` pixels to all four sides; beyond the picture it does. */
function isWithin(values, width, height, x, y, reach, limit) {
  const i = y * width + x;
  return (
    (x < reach || values[i - reach] > limit) &&
    (x >= width - reach || values[i + reach] > limit) &&
    (y < reach || values[i - reach * width] > limit) &&
    (y >= height - reach || values[i + reach * width] > limit)
  );
}

function pixelWord(colour, alpha) {
  return new Uint32Array(Uint8Array.of(...colour, alpha).buffer)[0];
}
