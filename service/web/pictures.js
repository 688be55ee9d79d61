/** Files to pixels. Photographs are upright (EXIF) and scaled down to what the page works with. */

/**
 * @param {Blob} file
 * @param {number} side the longer side at most, in pixels
 * @returns {Promise<{bitmap: ImageBitmap, width: number, height: number}>} scaled pixels, and the
 *   photograph's own upright size. Rejects for what this browser cannot decode.
 */
export async function decodePhotograph(file, side) {
  const full = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = full;
  const scale = Math.min(1, side / Math.max(width, height));
  if (scale === 1) return { bitmap: full, width, height };
  const bitmap = await createImageBitmap(full, {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: "high",
  });
  full.close();
  return { bitmap, width, height };
}

/** @typedef {{width: number, height: number, classes: Uint8Array}} Classes 0 is background. */

/**
 * @param {Blob} png grey
 * @returns {Promise<Classes>} 1 where it is white
 */
export async function decodeMask(png) {
  const mask = await decodeClasses(png, Infinity);
  for (let i = 0; i < mask.classes.length; i++) mask.classes[i] >>= 7;
  return mask;
}

/**
 * @param {Blob} png grey, whose levels are numbers of classes
 * @param {number} side keep at most this many pixels on the longer side
 * @returns {Promise<Classes>}
 */
export async function decodeClasses(png, side) {
  const full = await createImageBitmap(png, { colorSpaceConversion: "none" });
  const scale = Math.min(1, side / Math.max(full.width, full.height));
  const [width, height] = [full.width, full.height].map((length) => Math.max(1, Math.round(length * scale)));
  const { data } = pixelsOf(full, width, height, { imageSmoothingEnabled: false });
  full.close();
  const classes = new Uint8Array(width * height);
  for (let i = 0; i < classes.length; i++) classes[i] = data[4 * i];
  return { width, height, classes };
}

/** Draw on a fresh canvas of this size and read the pixels back. */
export function pixelsOf(bitmap, width, height, style = {}) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  Object.assign(context, style);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Fill the canvas with the bitmap, cropped to the canvas's shape around its centre. */
export function drawThumbnail(canvas, bitmap) {
  const scale = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const [x, y] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height);
}

/** The file's name without its last suffix. */
export function stemOf(name) {
  return name.replace(/\.[^.]*$/, "") || name;
}
