/** Files to pixels. Photographs are upright (EXIF) and scaled down to what the page works with. */

const VOC_VOID = (224 << 16) | (224 << 8) | 192; // PASCAL VOC's colour of index 255

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

/**
 * What of a mask file is object, by the rules of docs/reference/images.md as far as a browser can tell.
 * @param {Blob} file
 * @returns {Promise<{width: number, height: number, object: Uint8Array}>} 1 on the object
 */
export async function readMaskFile(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    premultiplyAlpha: "none",
    colorSpaceConversion: "none",
  });
  const { width, height } = bitmap;
  const { data } = pixelsOf(bitmap, width, height);
  const isObject = (await isPalettePng(file)) ? paletteRule(data) : greyOrColourRule(data);
  const object = new Uint8Array(width * height);
  for (let i = 0; i < object.length; i++) object[i] = isObject(4 * i);
  return { width, height, object };
}

/** Draw on a fresh canvas of this size and read the pixels back. */
export function pixelsOf(bitmap, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
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

async function isPalettePng(file) {
  const start = new Uint8Array(await file.slice(0, 26).arrayBuffer());
  return start[0] === 0x89 && start[1] === 0x50 && start[25] === 3;
}

function paletteRule(data) {
  const colour = (at) => (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  const isClass = (at) => colour(at) !== 0 && colour(at) !== VOC_VOID;
  for (let at = 0; at < data.length; at += 4) {
    if (isClass(at)) return isClass;
  }
  return (at) => colour(at) !== 0;
}

function greyOrColourRule(data) {
  const brightest = (at) => Math.max(data[at], data[at + 1], data[at + 2]);
  let [most, alphaVaries] = [0, false];
  for (let at = 0; at < data.length; at += 4) {
    most = Math.max(most, brightest(at));
    alphaVaries ||= data[at + 3] !== data[3];
  }
  if (alphaVaries) return (at) => data[at + 3] > 127;
  return most <= 1 ? (at) => brightest(at) > 0 : (at) => brightest(at) > 127;
}
