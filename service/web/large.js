/** One result, large: looked at, and painted on where its mask is not right. */

import { showLegend } from "./legend.js";
import { notify } from "./notices.js";
import { saveByPage } from "./outputs.js";
import { Painter } from "./painter.js";
import { Proposal } from "./proposal.js";
import { Remembered } from "./remembered.js";
import { Shot } from "./shots.js";
import { Toolbar, isTyping, keyOf } from "./toolbar.js";

const SETTLE_MS = 400; // from the last stroke to the correction's being kept

const element = (id) => document.getElementById(id);

export class LargeView {
  /**
   * @param {Toolbar} toolbar whose tools are here as well
   * @param {{cards: () => import("./card.js").Card[], onUse: (card: import("./card.js").Card) => void}} page
   *   the cards in the order that is shown, and what "Use this too" does
   */
  constructor(toolbar, page) {
    Object.assign(this, { page, dialog: element("large"), card: null, remembered: new Remembered() });
    this.painter = new Painter(element("large-stage"));
    this.proposal = new Proposal(() => this.shot);
    this.toolbar = Toolbar.copy(toolbar, element("large-tools"), this.painter);
    this.onPaint = () => this.#painted();
    this.#wire();
  }

  /** Whether strokes are not kept yet. */
  get isPending() {
    return this.timer !== undefined;
  }

  /** Show this card's photograph and mask. Where the browser cannot show it, the card says so. */
  async open(card) {
    notify(card.root);
    const { objects } = card.list.view;
    const colours = objects.length > 1 ? objects.map(({ colour }) => colour) : null;
    const [shot, mask] = await Promise.all([Shot.open(card.query, colours), card.finding.mask()]).catch((problem) => {
      notify(this.dialog.open ? this.dialog : card.root, problem.message);
      return [];
    });
    if (!shot) return;
    await this.#leave();
    Object.assign(this, { card, shot, objects, first: card.finding.correction });
    this.#bring(mask);
    this.kept = shot.mask.state;
    shot.mask.addEventListener("change", this.onPaint);
    showLegend(element("large-classes"), objects, "choice-template").forEach((choice, place) => {
      choice.addEventListener("click", () => this.#choose(place + 1));
    });
    if (!this.dialog.open) this.dialog.showModal();
    this.painter.show(shot);
    this.#update();
    await this.proposal.look(card, mask);
    this.painter.draw();
    this.painter.canvas.focus();
  }

  /** What was painted here before, with its history; else the mask as it is. */
  #bring(mask) {
    const before = this.remembered.of(this.card);
    if (before) {
      Object.assign(this, { first: before.first });
      this.shot.mask = before.mask;
      return;
    }
    this.shot.mask.load(mask);
    this.shot.mask.forget();
  }

  #wire() {
    const onClick = (id, act) => element(id).addEventListener("click", act);
    onClick("large-close", () => this.dialog.close());
    onClick("large-before", () => this.#go(-1));
    onClick("large-after", () => this.#go(+1));
    onClick("large-reset", () => this.#reset());
    onClick("large-mask", () => this.#save());
    onClick("large-use", () => this.#use());
    onClick("large-propose", () => this.proposal.take());
    this.dialog.addEventListener("close", () => this.#closed());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (isTyping(event)) return;
    if (/^[1-9]$/.test(keyOf(event))) this.#choose(Number(keyOf(event)));
    const go = { n: () => this.#go(+1), p: () => this.#go(-1) };
    this.toolbar.key(event, { ...go, u: () => this.#use(), m: () => this.#save() });
  }

  /** Paint with the object of this number. */
  #choose(number) {
    if (number > this.objects.length) return;
    this.shot.mask.chosen = number;
    if (this.painter.tool !== "brush") this.painter.setTool("brush");
    this.#update();
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
    await card.correct(shot.mask.canUndo ? await this.#made() : first);
    this.#update();
  }

  /** What is painted, as a correction. */
  async #made() {
    const { shot, objects } = this;
    const ids = objects.map(({ id }) => id);
    const [key, shares] = [shot.mask.state, shot.mask.shares()];
    const png = await shot.mask.toPng(shot.width, shot.height, [...shares.keys()]);
    return { png, ids, shares, key };
  }

  async #leave() {
    if (!this.card) return;
    this.painter.show(null); // ends the keyboard's stroke
    await this.#keep();
    this.remembered.keep(this.card, this.shot.mask, this.first);
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
    await saveByPage(this.card);
  }

  async #use() {
    const { card } = this;
    await this.#keep();
    this.dialog.close();
    this.page.onUse(card);
  }

  #update() {
    const { card, shot, objects } = this;
    if (!this.painter.shot) return;
    const cards = this.page.cards();
    const { chosen } = shot.mask;
    const whose = objects.length > 1 ? ` is ${objects[chosen - 1].name}` : "";
    element("large-name").textContent = card.query.name;
    element("large-share").textContent = `${(100 * shot.mask.shares()[chosen]).toFixed(1)} % of the photograph${whose}`;
    [...element("large-classes").children].forEach((choice, place) => {
      choice.setAttribute("aria-pressed", String(place + 1 === chosen));
    });
    element("large-before").disabled = card === cards[0];
    element("large-after").disabled = card === cards.at(-1);
    element("large-reset").disabled = !card.finding.correction;
    element("large-use").disabled = shot.mask.share() === 0;
    this.proposal.update();
    this.toolbar.update();
    this.painter.draw();
  }
}
