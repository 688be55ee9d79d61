/** What was painted, step by step: rectangles of pixels as they were before each stroke. */

import { newId } from "./identity.js";

const MOST_BYTES = 192 * 1024 * 1024;

/** @typedef {{id: string, x: number, y: number, pixels: ImageData}} Patch */

export class History {
  /** @param {string} base names what is painted before the first step */
  constructor(base = newId()) {
    Object.assign(this, { base, done: [], undone: [] });
  }

  /** Names what is painted: another after every step, the same again after undo. */
  get state() {
    return this.done.at(-1)?.id ?? this.base;
  }

  /** @returns {Patch[]} all of them */
  get patches() {
    return [...this.done, ...this.undone];
  }

  /** Note a step; the oldest go where there are too many. */
  add(x, y, pixels) {
    this.done.push({ id: newId(), x, y, pixels });
    this.undone = [];
    let bytes = this.done.reduce((sum, { pixels: { data } }) => sum + data.length, 0);
    while (bytes > MOST_BYTES && this.done.length > 1) {
      const oldest = this.done.shift();
      this.base = oldest.id;
      bytes -= oldest.pixels.data.length;
    }
  }

  /**
   * Take the last step back.
   * @param {(patch: Patch) => ImageData} exchange puts the pixels in their place, and gives what was there
   * @returns {boolean} whether there was one
   */
  undo(exchange) {
    return swap(this.done, this.undone, exchange);
  }

  redo(exchange) {
    return swap(this.undone, this.done, exchange);
  }
}

function swap(from, to, exchange) {
  const patch = from.pop();
  if (patch) to.push({ ...patch, pixels: exchange(patch) });
  return Boolean(patch);
}
