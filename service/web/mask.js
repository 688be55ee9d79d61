/** What is painted on one photograph, of one object or of several, with its history. */

import { TINT, pixelWord } from "./colours.js";
import { History } from "./history.js";
import { encodeGreyPng } from "./png.js";
import { sampler } from "./sampling.js";

/**
 * A canvas whose pixels are transparent or have an object's colour, and no other: each belongs to one
 * object at most. Undo and redo swap the rectangles that strokes touched. `chosen` counts from 1 and
 * is the object that is painted.
 */
export class MaskLayer extends EventTarget {
  /**
   * @param {number} width of the scaled photograph; `toPng` has the photograph's own
   * @param {number} height
   * @param {number[][]} colours of each object, no two of them alike
   */
  constructor(width, height, colours = [TINT]) {
    super();
    Object.assign(this, { colours, chosen: 1, history: new History() });
    [this.canvas, this.before, this.cover] = [0, 0, 0].map(() => new OffscreenCanvas(width, height));
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.covering = this.cover.getContext("2d", { willReadFrequently: true });
  }

  /** Begin a stroke; `radius` and all points are in pixels of this canvas. */
  begin(point, radius, erase) {
    this.#remind();
    this.stroke = { last: point, box: [point.x, point.y, point.x, point.y], margin: radius + 2, erase };
    this.context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    const colour = `rgb(${this.colours[this.chosen - 1].join(" ")})`;
    for (const context of [this.context, this.covering]) {
      Object.assign(context, { lineCap: "round", lineWidth: 2 * radius, strokeStyle: colour, fillStyle: colour });
      // A canvas draws nothing for a line without length, and a single touch is to leave a dot.
      context.beginPath();
      context.arc(point.x, point.y, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** Paint from the last point to this one. */
  extend(point) {
    const { last, box } = this.stroke;
    for (const context of [this.context, this.covering]) {
      context.beginPath();
      context.moveTo(last.x, last.y);
      context.lineTo(point.x, point.y);
      context.stroke();
    }
    this.stroke.last = point;
    box[0] = Math.min(box[0], point.x);
    box[1] = Math.min(box[1], point.y);
    box[2] = Math.max(box[2], point.x);
    box[3] = Math.max(box[3], point.y);
  }

  /** End the stroke; it can be undone from here on. */
  end() {
    const { box, margin, erase } = this.stroke;
    const place = this.#within(box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin);
    this.stroke = null;
    if (place) this.#harden(place, erase);
    this.covering.clearRect(0, 0, this.cover.width, this.cover.height);
    if (place) this.#remember(place);
  }

  /** Take the stroke in progress back, as when a second finger turns it into a pinch. */
  cancel() {
    this.context.globalCompositeOperation = "copy";
    this.context.drawImage(this.before, 0, 0);
    this.covering.clearRect(0, 0, this.cover.width, this.cover.height);
    this.stroke = null;
  }

  /** Remove all that is painted. */
  clear() {
    this.#replace(() => this.context.clearRect(0, 0, this.canvas.width, this.canvas.height));
  }

  /** Put a mask in the place of what is painted; scaled as the photograph is. */
  load({ width, height, classes }) {
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    const painted = this.#words;
    for (let i = 0; i < words.length; i++) words[i] = painted[classes[i]];
    const full = new OffscreenCanvas(width, height);
    full.getContext("2d").putImageData(pixels, 0, 0);
    this.#replace(() => {
      Object.assign(this.context, { globalCompositeOperation: "copy", imageSmoothingEnabled: false });
      this.context.drawImage(full, 0, 0, this.canvas.width, this.canvas.height);
    });
  }

  /** Have other colours; what is painted, and what can be undone, has them too. */
  recolour(colours) {
    const before = this.#words;
    this.colours = colours;
    const changed = new Map(Array.from(before, (word, number) => [word, this.#words[number]]));
    const recolour = (pixels) => {
      const words = new Uint32Array(pixels.data.buffer);
      for (let i = 0; i < words.length; i++) if (words[i]) words[i] = changed.get(words[i]) ?? words[i];
      return pixels;
    };
    this.context.putImageData(recolour(this.#pixels()), 0, 0);
    for (const { pixels } of this.history.patches) recolour(pixels);
  }

  /** What is painted, as `restore` takes it: at this canvas's size, and quicker than `toPng`. */
  toPicture() {
    return this.canvas.convertToBlob();
  }

  /** Have what was painted of one object on another page, in whatever colour, and nothing to undo. */
  async restore(picture, state) {
    const bitmap = await createImageBitmap(picture);
    this.context.globalCompositeOperation = "copy";
    this.context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const pixels = this.#pixels();
    const words = new Uint32Array(pixels.data.buffer);
    const [, word] = this.#words;
    for (let i = 0; i < words.length; i++) if (words[i]) words[i] = word;
    this.context.putImageData(pixels, 0, 0);
    this.history = new History(state);
  }

  /** Begin a new history: what is painted now is where undo ends. */
  forget() {
    this.history = new History(this.state);
    this.#tell();
  }

  /** Names what is painted: another after every change, the same again after undo. */
  get state() {
    return this.history.state;
  }

  get canUndo() {
    return this.history.done.length > 0;
  }

  get canRedo() {
    return this.history.undone.length > 0;
  }

  undo() {
    if (this.stroke) this.end();
    if (this.history.undo((patch) => this.#exchange(patch))) this.#tell();
  }

  redo() {
    if (this.stroke) this.end();
    if (this.history.redo((patch) => this.#exchange(patch))) this.#tell();
  }

  /** Share of the photograph that is object, 0 to 1; of a stroke in progress nothing counts yet. */
  share() {
    return 1 - this.shares()[0];
  }

  /** Share of the background, and of each object. */
  shares() {
    const { state } = this;
    if (this.counted?.state === state) return this.counted.shares;
    const counts = new Array(this.colours.length + 1).fill(0);
    const classes = this.#classes();
    for (const number of classes) counts[number] += 1;
    const shares = counts.map((count) => count / classes.length);
    if (!this.stroke) this.counted = { state, shares };
    return shares;
  }

  /** An 8-bit grey PNG of the photograph's own size: `levels` of background and each object. */
  toPng(width, height, levels = [0, 255]) {
    const sample = sampler(this.#classes(), this.canvas, { width, height });
    return encodeGreyPng(width, height, (y, line) => {
      for (let x = 0; x < width; x++) line[x] = levels[sample(x, y)];
    });
  }

  /** (H * W) 0 for background and n for the n-th object; a stroke in progress is left out. */
  #classes() {
    const words = new Uint32Array(this.#pixels(this.stroke ? this.before : this.canvas).data.buffer);
    const numbers = new Map(Array.from(this.#words, (word, number) => [word, number]));
    const classes = new Uint8Array(words.length);
    let [last, number] = [0, 0];
    for (let i = 0; i < words.length; i++) {
      if (words[i] !== last) [last, number] = [words[i], numbers.get(words[i]) ?? 0];
      classes[i] = number;
    }
    return classes;
  }

  /** The pixels of background and of each object, as a canvas holds them. */
  get #words() {
    return Uint32Array.from([0, ...this.colours.map((colour) => pixelWord(colour, 255))]);
  }

  #pixels(canvas = this.canvas, { x, y, width, height } = { x: 0, y: 0, ...sizeOf(canvas) }) {
    return canvas.getContext("2d").getImageData(x, y, width, height);
  }

  #remind() {
    this.before.getContext("2d").globalCompositeOperation = "copy";
    this.before.getContext("2d").drawImage(this.canvas, 0, 0);
  }

  /** Take the stroke's soft edge away: a pixel that it covers by half is painted, another is not. */
  #harden(place, erase) {
    const [before, cover] = [this.before, this.cover].map((canvas) => this.#pixels(canvas, place));
    const words = new Uint32Array(before.data.buffer);
    const word = erase ? 0 : this.#words[this.chosen];
    for (let i = 0; i < words.length; i++) if (cover.data[4 * i + 3] > 127) words[i] = word;
    this.context.putImageData(before, place.x, place.y);
  }

  #replace(paint) {
    if (this.stroke) this.end();
    this.#remind();
    paint();
    this.#remember({ x: 0, y: 0, ...sizeOf(this.canvas) });
  }

  #within(left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.canvas.width, Math.ceil(right)) - x;
    const height = Math.min(this.canvas.height, Math.ceil(bottom)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  #remember(place) {
    this.history.add(place.x, place.y, this.#pixels(this.before, place));
    this.#tell();
  }

  #exchange({ x, y, pixels }) {
    const { width, height } = pixels;
    const there = this.#pixels(this.canvas, { x, y, width, height });
    this.context.putImageData(pixels, x, y);
    return there;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

function sizeOf({ width, height }) {
  return { width, height };
}
