/** What is found in one photograph: a result of each object, and what was corrected by hand. */

import { decodeClasses } from "./pictures.js";
import { classesIn, measure, merged, readProbability, tallyOf, weighed } from "./probability.js";

const HALF = 0.5;

/**
 * `results` are the network's, by the object's id: {png, presence, source, of, tally, width, height};
 * `of` is the object's mark when it was asked for. `correction` stands in their place for the objects
 * that it knows: {png, ids, shares, isSaved}; the levels of its PNG are places in `ids`, from 1 on,
 * `shares` begin with the background's, and it is saved once it was downloaded.
 */
export class Finding {
  /** @param {import("./results.js").View} view shared by all photographs */
  constructor(view) {
    Object.assign(this, { view, results: new Map(), correction: null, tallied: null });
  }

  get isKnown() {
    return this.correction !== null || this.#looked.length > 0;
  }

  isCorrected({ id }) {
    return this.correction?.ids.includes(id) ?? false;
  }

  /** @returns {?Object} the network's result of an object, unless it was corrected */
  resultOf(object) {
    return this.isCorrected(object) ? null : (this.results.get(object.id) ?? null);
  }

  /** Whether an object is probably not there. */
  isAbsent(object) {
    const result = this.resultOf(object);
    return result !== null && result.presence < this.view.presence;
  }

  /** Whether the photograph probably shows none of the objects. */
  get absent() {
    return this.isKnown && !this.correction && this.#looked.every((object) => this.isAbsent(object));
  }

  /** Of the object that is there most surely. */
  get presence() {
    return Math.max(0, ...this.#looked.map((object) => this.resultOf(object).presence));
  }

  /** Whether a result is of an object that is another by now; a correction stays what it is. */
  get stale() {
    return this.#looked.some((object) => this.resultOf(object).of !== object.mark);
  }

  /** Objects that the network may look for: all that were not corrected. */
  get open() {
    return this.view.objects.filter((object) => !this.isCorrected(object));
  }

  /** Those of them without a result, or with one of before. */
  get due() {
    return this.open.filter((object) => this.resultOf(object)?.of !== object.mark);
  }

  /** Names what `read` gives: another after every change. */
  get key() {
    const parts = this.#counting().map((object) => object.id + this.resultOf(object).of);
    const objects = this.view.objects.map(({ id }) => id);
    return `${this.correction?.key ?? ""} ${parts} of ${objects} ${this.#weighs}`;
  }

  /**
   * @param {number} side at most so many pixels on the longer side
   * @param {boolean} all with objects that are probably not there
   * @returns {Promise<import("./probability.js").Probability>} classes are places in the view's objects
   */
  async read(side, all = false) {
    const { correction, key } = this;
    const counting = this.#counting(all);
    const corrected = correction ? this.#renumbered(await decodeClasses(correction.png, side)) : null;
    const weighs = this.#weighs && !all;
    const layers = await Promise.all(counting.map((object) => readLayer(this.resultOf(object), side, weighs)));
    const numbers = counting.map((object) => this.view.objects.indexOf(object) + 1);
    const map = merged(layers, numbers, corrected ?? (await this.#nothing(side)));
    if (!all) this.tallied = { key, tallies: this.view.objects.map((_, place) => tallyOf(map, place + 1)) };
    return map;
  }

  /** The mask that is shown, at the photograph's own size. */
  async mask() {
    return classesIn(await this.read(Infinity), this.view.threshold);
  }

  /** What the mask would be if all objects were there and, if need be, the threshold were lower. */
  async proposal() {
    const map = await this.read(Infinity, true);
    const highest = map.values.reduce((most, value) => Math.max(most, value), 0) / 255;
    return classesIn(map, Math.min(this.view.threshold, highest * HALF));
  }

  /** @returns {?{share: number, score: number}} of an object in the mask; null while it is not read */
  measure(object) {
    const { correction, view } = this;
    if (this.isCorrected(object)) return { share: correction.shares[correction.ids.indexOf(object.id) + 1], score: 1 };
    if (this.isAbsent(object)) return { share: 0, score: 0 };
    const [only, another] = this.#counting();
    if (only === object && !another && !correction && !this.#weighs) return measure(this.resultOf(object).tally, view.threshold);
    if (this.tallied?.key !== this.key) return null;
    return measure(this.tallied.tallies[view.objects.indexOf(object)], view.threshold);
  }

  /** Objects that the network has looked for. */
  get #looked() {
    return this.view.objects.filter((object) => this.resultOf(object));
  }

  /** Whether an object counts as much as it is likely to be there: beside others, where presence counts. */
  get #weighs() {
    return this.view.objects.length > 1 && this.view.presence > 0;
  }

  #counting(all = false) {
    return this.#looked.filter((object) => all || !this.isAbsent(object));
  }

  /** A correction knows its own objects; those that are gone by now are background. */
  #renumbered({ width, height, classes }) {
    const places = this.correction.ids.map((id) => this.view.objects.findIndex((object) => object.id === id) + 1);
    const numbers = Uint8Array.of(0, ...places);
    return { width, height, classes: classes.map((place) => numbers[place]) };
  }

  async #nothing(side) {
    const { png } = this.resultOf(this.#looked[0]);
    const { width, height } = await readProbability(png, side);
    return { width, height, classes: new Uint8Array(width * height) };
  }
}

async function readLayer({ png, presence }, side, weighs) {
  const map = await readProbability(png, side);
  return weighs ? weighed(map, presence) : map;
}
