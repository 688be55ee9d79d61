/** What is painted on one photograph, with its history. */

import { newId } from "./identity.js";
import { encodeGreyPng } from "./png.js";

/** The colour of objects where nothing speaks for another: that of the service's overlays. */
export const TINT = [255, 0, 180];
const HISTORY_BYTES = 192 * 1024 * 1024;

/** A canvas that is opaque on the object; undo and redo swap the rectangles that strokes touched. */
export class MaskLayer extends EventTarget {
  /** Width and height: those of the scaled photograph; `toPng` has the photograph's own. */
  constructor(width, height, colour = TINT) {
    super();
    Object.assign(this, { colour, base: newId() });
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    const style = `rgb(${colour.join(" ")})`;
    Object.assign(this.context, { lineCap: "round", strokeStyle: style, fillStyle: style });
    this.before = new OffscreenCanvas(width, height);
    this.done = [];
    this.undone = [];
  }

  /** Begin a stroke; `radius` and all points are in pixels of this canvas. */
  begin(point, radius, erase) {
    this.before.getContext("2d").globalCompositeOperation = "copy";
    this.before.getContext("2d").drawImage(this.canvas, 0, 0);
    this.context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    this.context.lineWidth = 2 * radius;
    this.stroke = { last: point, box: [point.x, point.y, point.x, point.y], margin: radius + 2 };
    // A canvas draws nothing for a line without length, and a single touch is to leave a dot.
    this.context.beginPath();
    this.context.arc(point.x, point.y, radius, 0, 2 * Math.PI);
    this.context.fill();
  }

  /** Paint from the last point to this one. */
  extend(point) {
    const { last, box } = this.stroke;
    this.context.beginPath();
    this.context.moveTo(last.x, last.y);
    this.context.lineTo(point.x, point.y);
    this.context.stroke();
    this.stroke.last = point;
    box[0] = Math.min(box[0], point.x);
    box[1] = Math.min(box[1], point.y);
    box[2] = Math.max(box[2], point.x);
    box[3] = Math.max(box[3], point.y);
  }

  /** End the stroke; it can be undone from here on. */
  end() {
    const { box, margin } = this.stroke;
    this.stroke = null;
    this.#remember(box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin);
  }

  /** Take the stroke in progress back, as when a second finger turns it into a pinch. */
  cancel() {
    this.context.globalCompositeOperation = "copy";
    this.context.drawImage(this.before, 0, 0);
    this.stroke = null;
  }

  /** Remove all that is painted. */
  clear() {
    this.#replace(() => this.context.clearRect(0, 0, this.canvas.width, this.canvas.height));
  }

  /** Put the mask of a file in the place of what is painted; scaled as the photograph is. */
  load({ width, height, object }) {
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    const [painted] = new Uint32Array(Uint8Array.of(...this.colour, 255).buffer);
    for (let i = 0; i < words.length; i++) words[i] = object[i] * painted;
    const full = new OffscreenCanvas(width, height);
    full.getContext("2d").putImageData(pixels, 0, 0);
    this.#replace(() => {
      this.context.globalCompositeOperation = "copy";
      this.context.drawImage(full, 0, 0, this.canvas.width, this.canvas.height);
    });
  }

  /** What is painted, as `restore` takes it: at this canvas's size, and quicker than `toPng`. */
  toPicture() {
    return this.canvas.convertToBlob();
  }

  /** Have what was painted on another page, and nothing to undo. */
  async restore(picture, state) {
    const bitmap = await createImageBitmap(picture);
    this.context.globalCompositeOperation = "copy";
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    Object.assign(this, { base: state, done: [], undone: [] });
  }

  /** Begin a new history: what is painted now is where undo ends. */
  forget() {
    Object.assign(this, { base: this.state, done: [], undone: [] });
    this.dispatchEvent(new Event("change"));
  }

  /** Names what is painted: another after every change, the same again after undo. */
  get state() {
    return this.done.at(-1)?.id ?? this.base;
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  undo() {
    if (this.stroke) this.end();
    this.#swap(this.done, this.undone);
  }

  redo() {
    if (this.stroke) this.end();
    this.#swap(this.undone, this.done);
  }

  /** Share of the photograph that is object, 0 to 1. */
  share() {
    const { state } = this;
    if (this.counted?.state === state && !this.stroke) return this.counted.share;
    const alpha = this.#alpha();
    let count = 0;
    for (const value of alpha) count += value > 127;
    this.counted = { state, share: count / alpha.length };
    return this.counted.share;
  }

  /** An 8-bit grey PNG of the photograph's own size: 255 on the object, 0 elsewhere. */
  toPng(width, height) {
    const alpha = this.#alpha();
    const columns = samplePositions(width, this.canvas.width);
    const rows = samplePositions(height, this.canvas.height);
    const stride = this.canvas.width;
    return encodeGreyPng(width, height, (y, line) => {
      const [top, bottom] = [rows.low[y] * stride, rows.high[y] * stride];
      const down = rows.share[y];
      for (let x = 0; x < width; x++) {
        const [left, right, across] = [columns.low[x], columns.high[x], columns.share[x]];
        const above = alpha[top + left] * (1 - across) + alpha[top + right] * across;
        const below = alpha[bottom + left] * (1 - across) + alpha[bottom + right] * across;
        line[x] = above * (1 - down) + below * down > 127 ? 255 : 0;
      }
    });
  }

  #alpha() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const alpha = new Uint8Array(data.length / 4);
    for (let i = 0; i < alpha.length; i++) alpha[i] = data[4 * i + 3];
    return alpha;
  }

  #replace(paint) {
    if (this.stroke) this.end();
    this.before.getContext("2d").globalCompositeOperation = "copy";
    this.before.getContext("2d").drawImage(this.canvas, 0, 0);
    paint();
    this.#remember(0, 0, this.canvas.width, this.canvas.height);
  }

  #remember(left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.canvas.width, Math.ceil(right)) - x;
    const height = Math.min(this.canvas.height, Math.ceil(bottom)) - y;
    if (width <= 0 || height <= 0) return;
    const pixels = this.before.getContext("2d").getImageData(x, y, width, height);
    this.done.push({ id: newId(), x, y, pixels });
    this.undone = [];
    let bytes = this.done.reduce((sum, { pixels }) => sum + pixels.data.length, 0);
    while (bytes > HISTORY_BYTES && this.done.length > 1) {
      const oldest = this.done.shift();
      this.base = oldest.id;
      bytes -= oldest.pixels.data.length;
    }
    this.dispatchEvent(new Event("change"));
  }

  #swap(from, to) {
    const patch = from.pop();
    if (!patch) return;
    const { width, height } = patch.pixels;
    to.push({ ...patch, pixels: this.context.getImageData(patch.x, patch.y, width, height) });
    this.context.putImageData(patch.pixels, patch.x, patch.y);
    this.dispatchEvent(new Event("change"));
  }
}

/** Linear interpolation of `from` cells at `to` positions, pixel centres aligned. */
function samplePositions(to, from) {
  const low = new Uint32Array(to);
  const high = new Uint32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const position = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    low[i] = Math.floor(position);
    high[i] = Math.min(low[i] + 1, from - 1);
    share[i] = position - low[i];
  }
  return { low, high, share };
}
