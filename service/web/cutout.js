/** A photograph with nothing but the objects, of full size. */

import { decodePhotograph } from "./pictures.js";

const FEATHER_SHARE = 1 / 500; // of the longer side, as the service's

/**
 * @param {File} photograph
 * @param {import("./pictures.js").Classes} mask of the photograph's size
 * @returns {Promise<Blob>} PNG, transparent around them
 */
export async function cutOut(photograph, { width, height, classes }) {
  const { bitmap } = await decodePhotograph(photograph, Infinity);
  const stencil = new OffscreenCanvas(width, height);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < classes.length; i++) pixels.data[4 * i + 3] = classes[i] ? 255 : 0;
  stencil.getContext("2d").putImageData(pixels, 0, 0);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.filter = `blur(${Math.max(0.5, Math.max(width, height) * FEATHER_SHARE)}px)`;
  context.drawImage(stencil, 0, 0);
  context.filter = "none";
  context.globalCompositeOperation = "source-in";
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob();
}
