/** One photograph's result: waiting, its mask over it, or a sentence that says what went wrong. */

import { contrasting } from "./colours.js";
import { TINT } from "./mask.js";
import { notify } from "./notices.js";
import { decodeMask, decodePhotograph } from "./pictures.js";
import { drawOverlay, measure, objectIn, readProbability, tallyOf } from "./probability.js";

const DISPLAY_SIDE = 512 * Math.min(Math.max(devicePixelRatio, 1), 2);
const [NARROWEST, WIDEST] = [0.9, 2.4]; // shapes of a picture, width by height
const EVEN = 0.5; // parts a mask that was painted, whatever the threshold
const NOWHERE = 1; // the threshold that no probability is above

/**
 * `result` is the network's: {png, presence, source, of, tally, width, height}: the object's
 * source, and its mark when the result was asked for. `correction`, {png, tally, isSaved}, was painted by hand and
 * stands in its place; it is saved once it was downloaded.
 */
export class Card {
  /** `answers` are called with the card: onOutput (and the output), onAgain, onOpen, onUse, onChange. */
  constructor(list, query, answers) {
    const template = document.getElementById("card-template");
    this.root = template.content.firstElementChild.cloneNode(true);
    Object.assign(this, { list, query, answers, request: null, result: null, correction: null });
    Object.assign(this, { map: null, visible: false, colour: TINT, drawn: 0 });
    this.root.card = this;
    this.root.querySelector(".name").textContent = query.name;
    this.#part(".picture").setAttribute("aria-label", `${query.name}: waiting`);
    this.#wire(answers);
  }

  #wire({ onOutput, onAgain, onOpen, onUse }) {
    for (const button of this.root.querySelectorAll("[data-output]")) {
      button.setAttribute("aria-label", `Download ${button.textContent} of ${this.query.name}`);
      button.addEventListener("click", () => onOutput(this, button.dataset.output));
    }
    this.#part(".again").setAttribute("aria-label", `Try ${this.query.name} again`);
    this.#part(".again").addEventListener("click", () => onAgain(this));
    this.#part(".picture").addEventListener("click", () => onOpen(this));
    this.#part(".use").setAttribute("aria-label", `Use ${this.query.name} too, to show the object`);
    this.#part(".use").addEventListener("click", () => onUse(this));
  }

  /** Say that it is being worked on, or waited for; what was found before stays in sight. */
  wait(sentence) {
    this.root.classList.remove("failed");
    this.root.classList.add("waiting");
    this.#part(".wait").textContent = sentence;
    this.#part(".again").hidden = true;
    notify(this.root);
  }

  /** Put the focus on it. */
  focus() {
    this.#part(".picture").focus();
  }

  get presence() {
    return this.result?.presence ?? 0;
  }

  /** Whether the photograph probably does not show the object. */
  get absent() {
    return this.result !== null && !this.correction && this.presence < this.list.view.presence;
  }

  /** Whether it was computed for an object that is another by now; a correction stays what it is. */
  get stale() {
    return this.result !== null && !this.correction && this.result.of !== this.list.view.mark;
  }

  /**
   * @param {Blob} png its probability
   * @param {number} presence 0 to 1: whether the object is there at all
   */
  async show(png, presence) {
    const { request } = this;
    const map = await readProbability(png, DISPLAY_SIDE);
    const { width, height } = map;
    const { source, mark } = request;
    this.take({ result: { png, presence, source, of: mark, width, height, tally: tallyOf(map) } }, map);
    this.answers.onChange(this);
  }

  /** Put another mask in the place of the network's; null brings that back. */
  async correct(png) {
    const map = await readProbability(png ?? this.result.png, DISPLAY_SIDE);
    this.take({ correction: png && { png, tally: tallyOf(map), isSaved: false } }, map);
    this.answers.onChange(this);
  }

  /** Note that the mask that is shown was downloaded. */
  noteSaved() {
    if (!this.correction || this.correction.isSaved) return;
    this.correction.isSaved = true;
    this.answers.onChange(this);
  }

  /** Have a result or a correction, and show it; `map` is its probability, where it is read already. */
  take(found, map = null) {
    Object.assign(this, found);
    const isShown = Boolean(found.correction ?? !this.correction);
    if (isShown) this.map = this.visible ? map : null;
    const { width, height } = this.result;
    this.root.classList.remove("waiting", "failed");
    this.#part(".again").hidden = true;
    this.#part(".actions").hidden = false;
    this.#part(".picture").disabled = false;
    this.root.style.setProperty("--ratio", Math.min(Math.max(width / height, NARROWEST), WIDEST));
    this.measure();
    this.#chooseColour();
    if (this.map) this.drawOverlay();
    else if (this.visible) this.draw();
  }

  /** Once photograph and mask are both there, the tint is one that stands out on what lies below. */
  #chooseColour() {
    const canvas = this.#part(".photograph");
    if (canvas.width && this.map) this.colour = contrasting(canvas, this.map);
  }

  /** Say what went wrong; `again` offers another try. */
  fail(sentence, again = true) {
    this.root.classList.remove("waiting");
    this.root.classList.toggle("failed", !this.result);
    this.#part(".again").hidden = !again;
    if (!this.result) this.#part(".picture").setAttribute("aria-label", `${this.query.name}: no mask`);
    notify(this.root, sentence);
  }

  /** Say how much of the photograph is object at the threshold, or that it is probably not there. */
  measure() {
    if (!this.result) return;
    const text = this.verdict;
    const badge = this.correction ? "Corrected" : this.stale ? "From before" : "";
    this.root.classList.toggle("stale", this.stale);
    this.#part(".badge").hidden = !badge;
    this.#part(".badge").textContent = badge;
    this.#part(".found").textContent = text;
    this.#part(".picture").setAttribute("aria-label", `${this.query.name}: ${text}. Open it large`);
  }

  /** What is found, as words. */
  get verdict() {
    if (this.correction) {
      return `${percent(measure(this.correction.tally, EVEN).share)} of the photograph, corrected by hand`;
    }
    const presence = this.list.view.knowsPresence ? `, presence ${this.presence.toFixed(2)}` : "";
    if (this.absent) return `Probably not here${presence}`;
    const { share, score } = measure(this.result.tally, this.list.view.threshold);
    if (!share) return `Nothing found at this threshold${presence}`;
    return `${percent(share)} of the photograph, score ${score.toFixed(2)}${presence}`;
  }

  /** The mask that is shown, at the photograph's own size. */
  async mask() {
    if (this.correction) return decodeMask(this.correction.png);
    return objectIn(await readProbability(this.result.png, Infinity), this.#threshold);
  }

  get #threshold() {
    if (this.correction) return EVEN;
    return this.absent ? NOWHERE : this.list.view.threshold;
  }

  /** Photograph and overlay; a photograph that the browser cannot show stays grey. */
  async draw() {
    if (this.result) {
      const map = await readProbability((this.correction ?? this.result).png, DISPLAY_SIDE);
      if (!this.visible) return;
      this.map = map;
      this.drawOverlay();
    }
    const photograph = await decodePhotograph(this.query, DISPLAY_SIDE).catch(() => null);
    if (!photograph) return;
    const { bitmap } = photograph;
    const canvas = this.#part(".photograph");
    if (this.visible) {
      Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      this.#chooseColour();
      this.drawOverlay();
    }
    bitmap.close();
  }

  drawOverlay() {
    if (!this.map) return;
    const { colour } = this;
    drawOverlay(this.#part(".overlay"), this.map, { ...this.list.view, colour, threshold: this.#threshold });
    this.drawn = performance.now();
  }

  /** Give the pixels back while the card is out of sight: hundreds of cards stay cheap. */
  release() {
    this.map = null;
    for (const canvas of this.root.querySelectorAll("canvas")) {
      Object.assign(canvas, { width: 0, height: 0 });
    }
  }

  #part(selector) {
    return this.root.querySelector(selector);
  }
}

function percent(share) {
  const value = 100 * share;
  return value < 1 ? "Under 1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}
