/** One photograph's card: waiting, its mask over it, or a sentence that says what went wrong. */

import { cellsOf, contrasting, TINT, wear } from "./colours.js";
import { Finding } from "./finding.js";
import { notify } from "./notices.js";
import { decodePhotograph } from "./pictures.js";
import { drawOverlay, readProbability, tallyOf } from "./probability.js";
import { verdictOf } from "./verdicts.js";

const DISPLAY_SIDE = 512 * Math.min(Math.max(devicePixelRatio, 1), 2);
const [NARROWEST, WIDEST] = [0.9, 2.4]; // shapes of a picture, width by height

/** `finding` is what it shows; `isAsked` once the network was asked. */
export class Card {
  /** `answers` are called with the card: onOutput (and the output), onAgain, onOpen, onUse, onChange. */
  constructor(list, query, answers) {
    const template = document.getElementById("card-template");
    this.root = template.content.firstElementChild.cloneNode(true);
    Object.assign(this, { list, query, answers, isAsked: false, finding: new Finding(list.view) });
    Object.assign(this, { map: null, mapKey: "", visible: false, below: null, tint: TINT, drawn: 0 });
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

  /** Whether there is anything to show. */
  get isKnown() {
    return this.finding.isKnown;
  }

  /** Whether what is shown was made by hand and not downloaded. */
  get isUnsaved() {
    return this.finding.correction?.isSaved === false;
  }

  /**
   * Have the network's answer about one object.
   * @param {{object: Object, source: Object, mark: string}} request
   * @param {Blob} png its probability
   * @param {number} presence 0 to 1: whether the object is there at all
   */
  async show({ object, source, mark }, png, presence) {
    const map = await readProbability(png, DISPLAY_SIDE);
    const { width, height } = map;
    const result = { png, presence, source, of: mark, width, height, tally: tallyOf(map) };
    this.finding.results.set(object.id, result);
    if (this.list.view.objects.length > 1 && !this.visible) await this.finding.read(DISPLAY_SIDE); // for its tallies
    await this.refresh();
    this.answers.onChange(this);
  }

  /**
   * Put a mask by hand in the place of the network's; null brings that back.
   * @param {?{png: Blob, ids: string[], shares: number[], key: string}} made
   */
  async correct(made) {
    this.finding.correction = made && { isSaved: false, ...made };
    await this.refresh();
    this.answers.onChange(this);
  }

  /** Note that the mask that is shown was downloaded. */
  noteSaved() {
    if (!this.isUnsaved) return;
    this.finding.correction.isSaved = true;
    this.answers.onChange(this);
  }

  /** Show what is found by now; nothing where it was of objects that are gone. */
  async refresh() {
    this.#part(".actions").hidden = !this.isKnown;
    this.#part(".picture").disabled = !this.isKnown;
    this.#part(".overlay").hidden = !this.isKnown;
    if (!this.isKnown) return;
    const [{ width, height }] = this.finding.results.values();
    this.root.classList.remove("waiting", "failed");
    this.#part(".again").hidden = true;
    this.root.style.setProperty("--ratio", Math.min(Math.max(width / height, NARROWEST), WIDEST));
    if (this.visible) await this.#readMap();
    this.measure();
    this.drawOverlay();
  }

  async #readMap() {
    const { key } = this.finding;
    if (key === this.mapKey && this.map) return;
    const map = await this.finding.read(DISPLAY_SIDE);
    if (!this.visible) return;
    Object.assign(this, { map, mapKey: key });
    this.#chooseTint();
  }

  /** Once photograph and mask are both there, a lone object's tint is one that stands out on it. */
  #chooseTint() {
    if (this.below && this.map) this.tint = contrasting(this.below, this.map);
  }

  /** Say what went wrong; `again` offers another try. */
  fail(sentence, again = true) {
    this.root.classList.remove("waiting");
    this.root.classList.toggle("failed", !this.isKnown);
    this.#part(".again").hidden = !again;
    if (!this.isKnown) this.#part(".picture").setAttribute("aria-label", `${this.query.name}: no mask`);
    notify(this.root, sentence);
  }

  /** Say of each object how much of the photograph it is, or that it is probably not there. */
  measure() {
    if (!this.isKnown) {
      this.#part(".found").textContent = "";
      this.#part(".verdicts").replaceChildren();
      return;
    }
    const { correction, stale } = this.finding;
    const badge = correction ? "Corrected" : stale ? "From before" : "";
    this.root.classList.toggle("stale", stale);
    this.#part(".badge").hidden = !badge;
    this.#part(".badge").textContent = badge;
    const verdicts = this.list.view.objects.map((object) => verdictOf(this.finding, object));
    this.#showVerdicts(verdicts);
    const text = verdicts.map(({ name, text }) => (name ? `${name}: ${text}` : text)).join("; ");
    this.#part(".picture").setAttribute("aria-label", `${this.query.name}: ${text}. Open it large`);
  }

  #showVerdicts(verdicts) {
    const several = verdicts.length > 1;
    this.#part(".found").textContent = several ? "" : verdicts[0].text;
    const template = document.getElementById("verdict-template");
    const rows = verdicts.map(({ name, text, isThere, colour }, place) => {
      const row = template.content.firstElementChild.cloneNode(true);
      wear(row.querySelector(".swatch"), colour);
      row.querySelector(".swatch").textContent = place + 1;
      row.querySelector(".name").textContent = name;
      row.querySelector(".share").textContent = text;
      row.classList.toggle("missing", !isThere);
      return row;
    });
    this.#part(".verdicts").replaceChildren(...(several ? rows : []));
  }

  /** Draw it when it comes into sight, and let go of its pixels when it goes. */
  see(isInSight) {
    if (this.visible === isInSight) return;
    this.visible = isInSight;
    if (isInSight) this.draw();
    else this.#release();
  }

  /** Photograph and overlay; a photograph that the browser cannot show stays grey. */
  async draw() {
    if (this.isKnown) await this.refresh();
    const photograph = await decodePhotograph(this.query, DISPLAY_SIDE).catch(() => null);
    if (!photograph) return;
    if (this.visible) this.#showPhotograph(photograph.bitmap);
    else photograph.bitmap.close();
  }

  /** A canvas that holds a bitmap costs nothing in frames that leave it as it is; others do. */
  #showPhotograph(bitmap) {
    const canvas = this.#part(".photograph");
    this.below = cellsOf(bitmap);
    Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
    this.#chooseTint();
    this.drawOverlay();
  }

  drawOverlay() {
    if (!this.map || !this.visible) return;
    if (this.mapKey !== this.finding.key) {
      this.refresh();
      return;
    }
    const { objects } = this.list.view;
    const colours = objects.length > 1 ? objects.map(({ colour }) => colour) : [this.tint];
    drawOverlay(this.#part(".overlay"), this.map, { ...this.list.view, colours });
    this.drawn = performance.now();
  }

  #release() {
    Object.assign(this, { map: null, below: null });
    this.#part(".photograph").getContext("bitmaprenderer").transferFromImageBitmap(null);
    for (const canvas of this.root.querySelectorAll("canvas")) {
      Object.assign(canvas, { width: 0, height: 0 });
    }
  }

  #part(selector) {
    return this.root.querySelector(selector);
  }
}
