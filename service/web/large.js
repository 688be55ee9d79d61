/** One result, large: looked at, and painted on where its mask is not right. */

import { download } from "./intake.js";
import { notify } from "./notices.js";
import { Painter } from "./painter.js";
import { Shot } from "./shots.js";
import { Toolbar, isTyping } from "./toolbar.js";

const SETTLE_MS = 400; // from the last stroke to the correction's being kept

const element = (id) => document.getElementById(id);

export class LargeView {
  /**
   * @param {Toolbar} toolbar whose tools are here as well
   * @param {{cards: () => import("./card.js").Card[], onUse: (card: import("./card.js").Card) => void}} page
   *   the cards in the order that is shown, and what "Use this too" does
   */
  constructor(toolbar, page) {
    Object.assign(this, { page, dialog: element("large"), card: null });
    this.painter = new Painter(element("large-stage"));
    this.toolbar = Toolbar.copy(toolbar, element("large-tools"), this.painter);
    this.#wire();
  }

  /** Whether strokes are not kept yet. */
  get isPending() {
    return this.timer !== undefined;
  }

  /** Show this card's photograph and mask. Where the browser cannot show it, the card says so. */
  async open(card) {
    notify(card.root);
    const [shot, mask] = await Promise.all([Shot.open(card.query), card.mask()]).catch((problem) => {
      notify(this.dialog.open ? this.dialog : card.root, problem.message);
      return [];
    });
    if (!shot) return;
    await this.#leave();
    shot.mask.load(mask);
    shot.mask.forget();
    Object.assign(this, { card, shot, kept: shot.mask.state, first: card.correction });
    shot.mask.addEventListener("change", () => this.#painted());
    if (!this.dialog.open) this.dialog.showModal();
    this.painter.show(shot);
    this.#update();
    this.painter.canvas.focus();
  }

  #wire() {
    const onClick = (id, act) => element(id).addEventListener("click", act);
    onClick("large-close", () => this.dialog.close());
    onClick("large-before", () => this.#go(-1));
    onClick("large-after", () => this.#go(+1));
    onClick("large-reset", () => this.#reset());
    onClick("large-mask", () => this.#save());
    onClick("large-use", () => this.#use());
    this.dialog.addEventListener("close", () => this.#closed());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (isTyping(event)) return;
    const go = { n: () => this.#go(+1), p: () => this.#go(-1) };
    this.toolbar.key(event, { ...go, u: () => this.#use(), m: () => this.#save() });
  }

  #go(step) {
    const cards = this.page.cards();
    const next = cards[cards.indexOf(this.card) + step];
    if (next) this.open(next);
  }

  #painted() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#keep(), SETTLE_MS);
    this.#update();
  }

  /** Keep what is painted as the card's correction; all undone, it is what it was at first. */
  async #keep() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { card, shot, first } = this;
    if (shot.mask.state === this.kept) return;
    this.kept = shot.mask.state;
    const isPainted = shot.mask.canUndo;
    await card.correct(isPainted ? await shot.mask.toPng(shot.width, shot.height) : (first?.png ?? null));
    this.#update();
  }

  async #leave() {
    if (!this.card) return;
    this.painter.show(null); // ends the keyboard's stroke
    await this.#keep();
    this.shot.bitmap.close();
    this.card = null;
  }

  async #closed() {
    const { card } = this;
    await this.#leave();
    card.focus();
  }

  async #reset() {
    const { card } = this;
    await this.#keep();
    await card.correct(null);
    await this.open(card);
  }

  async #save() {
    await this.#keep();
    download(await this.shot.mask.toPng(this.shot.width, this.shot.height), this.shot.maskName);
    this.card.noteSaved();
  }

  async #use() {
    const { card } = this;
    await this.#keep();
    this.dialog.close();
    this.page.onUse(card);
  }

  #update() {
    const { card, shot } = this;
    if (!this.painter.shot) return;
    const cards = this.page.cards();
    element("large-name").textContent = card.query.name;
    element("large-share").textContent = `${(100 * shot.mask.share()).toFixed(1)} % of the photograph`;
    element("large-before").disabled = card === cards[0];
    element("large-after").disabled = card === cards.at(-1);
    element("large-reset").disabled = !card.correction;
    element("large-use").disabled = shot.mask.share() === 0;
    this.toolbar.update();
    this.painter.draw();
  }
}
