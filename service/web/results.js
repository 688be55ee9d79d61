/** One card a photograph: waiting, its mask over it, or a sentence that says what went wrong. */

import { notify } from "./notices.js";
import { decodePhotograph } from "./pictures.js";
import { drawOverlay, measure, readProbability } from "./probability.js";

const DISPLAY_SIDE = 1024;
const NOWHERE = 1; // the threshold that no probability is above

/** A card. `onOutput(card, output)` and `onAgain(card)` answer its buttons. */
class Card {
  constructor(list, query, source, { onOutput, onAgain }) {
    const template = document.getElementById("card-template");
    this.root = template.content.firstElementChild.cloneNode(true);
    Object.assign(this, { list, query, source, map: null, presence: 1, visible: false });
    this.root.card = this;
    this.root.querySelector(".name").textContent = query.name;
    this.#part(".picture").setAttribute("aria-label", `${query.name}: waiting`);
    for (const button of this.root.querySelectorAll("[data-output]")) {
      button.setAttribute("aria-label", `Download ${button.textContent} of ${query.name}`);
      button.addEventListener("click", () => onOutput(this, button.dataset.output));
    }
    this.#part(".again").setAttribute("aria-label", `Try ${query.name} again`);
    this.#part(".again").addEventListener("click", () => onAgain(this));
  }

  /** Say that it is being worked on, or waited for. */
  wait(sentence) {
    this.root.classList.remove("failed");
    this.root.classList.add("waiting");
    this.#part(".wait").textContent = sentence;
    this.#part(".again").hidden = true;
    notify(this.root);
  }

  /** Whether the photograph probably does not show the object. */
  get absent() {
    return this.map !== null && this.presence < this.list.view.presence;
  }

  /**
   * @param {Blob} png its probability
   * @param {number} presence 0 to 1: whether the object is there at all
   */
  async show(png, presence) {
    this.map = await readProbability(png, DISPLAY_SIDE);
    this.presence = presence;
    this.root.classList.remove("waiting");
    this.#part(".actions").hidden = false;
    this.#part(".picture").style.aspectRatio = `${this.map.width} / ${this.map.height}`;
    this.measure();
    if (this.visible) await this.draw();
  }

  /** Say what went wrong; `again` offers another try. */
  fail(sentence, again = true) {
    this.root.classList.remove("waiting");
    this.root.classList.toggle("failed", !this.map);
    this.#part(".again").hidden = !again;
    this.#part(".picture").setAttribute("aria-label", `${this.query.name}: no mask`);
    notify(this.root, sentence);
  }

  /** Say how much of the photograph is object at the threshold, or that it is probably not there. */
  measure() {
    if (!this.map) return;
    const text = this.#verdict();
    this.root.classList.toggle("absent", this.absent);
    this.#part(".found").textContent = text;
    this.#part(".picture").setAttribute("aria-label", `${this.query.name}: ${text}`);
  }

  #verdict() {
    const presence = this.list.view.knowsPresence ? `, presence ${this.presence.toFixed(2)}` : "";
    if (this.absent) return `Probably not here${presence}`;
    const { share, score } = measure(this.map, this.list.view.threshold);
    if (!share) return `Nothing found at this threshold${presence}`;
    return `${percent(share)} of the photograph, score ${score.toFixed(2)}${presence}`;
  }

  /** Photograph and overlay; a photograph that the browser cannot show stays grey. */
  async draw() {
    this.drawOverlay();
    const canvas = this.#part(".photograph");
    const photograph = await decodePhotograph(this.query, DISPLAY_SIDE).catch(() => null);
    if (!photograph) return;
    const { bitmap } = photograph;
    Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  }

  drawOverlay() {
    if (!this.map) return;
    const { view } = this.list;
    drawOverlay(this.#part(".overlay"), this.map, this.absent ? { ...view, threshold: NOWHERE } : view);
  }

  /** Give the pixels back while the card is out of sight: hundreds of cards stay cheap. */
  release() {
    for (const canvas of this.root.querySelectorAll("canvas")) {
      Object.assign(canvas, { width: 0, height: 0 });
    }
  }

  #part(selector) {
    return this.root.querySelector(selector);
  }
}

/** The cards of one run, and how they are looked at. */
export class ResultList {
  /** @param {HTMLElement} list where the cards go */
  constructor(list, answers) {
    Object.assign(this, { list, answers, cards: [] });
    this.view = { threshold: 0.5, opacity: 0.45, outline: true };
    Object.assign(this.view, { knowsPresence: false, presence: 0, order: "given", hideAbsent: false });
    this.observer = new IntersectionObserver((entries) => entries.forEach(see), {
      rootMargin: "400px",
    });
  }

  /** Put these queries in the place of the last run's; all wait. */
  reset(queries, source) {
    this.observer.disconnect();
    this.cards = queries.map((query) => new Card(this, query, source, this.answers));
    this.list.replaceChildren(...this.cards.map((card) => card.root));
    for (const card of this.cards) {
      card.wait("Waiting");
      this.observer.observe(card.root);
    }
  }

  /** Change thresholds, opacity, outline, order or what is hidden; what is in sight follows at once. */
  look(change) {
    Object.assign(this.view, change);
    for (const card of this.cards) {
      card.measure();
      if (card.visible) card.drawOverlay();
    }
    this.arrange();
  }

  /** Put the cards in order and hide what is not wanted; `cards` stays in the order given. */
  arrange() {
    const { order, hideAbsent } = this.view;
    const ordered = order === "given" ? this.cards : this.cards.toSorted((a, b) => b.presence - a.presence);
    const roots = ordered.map((card) => card.root);
    if (roots.some((root, place) => root !== this.list.children[place])) this.list.append(...roots);
    for (const card of this.cards) card.root.hidden = hideAbsent && card.absent;
  }
}

function see({ target, isIntersecting }) {
  const { card } = target;
  card.visible = isIntersecting;
  if (isIntersecting) card.draw();
  else card.release();
}

function percent(share) {
  const value = 100 * share;
  return value < 1 ? "Under 1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}
