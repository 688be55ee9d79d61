/** The results, one card a photograph, and how they are looked at. */

import { Card } from "./card.js";
import { Portions } from "./portions.js";
import { Sheets } from "./sheets.js";

const MOVES = ["presence", "order", "objects"]; // what of a view puts cards elsewhere
const SETTLE_MS = 100; // from the last move of a slider to the words that follow it

/**
 * @typedef {{objects: {id: string, name: string, colour: number[], mark: string}[], threshold: number,
 *   presence: number, knowsPresence: boolean, opacity: number, outline: boolean, order: string}} View
 *   how results are looked at, and what is looked for
 */

/** Emits "settle" when what was changed about the view has rested. */
export class ResultList extends EventTarget {
  /**
   * @param {HTMLElement} list where the cards go
   * @param {HTMLElement} aside where those go that probably do not show the object
   * @param {Object<string, Function>} answers those of a card
   */
  constructor(list, aside, answers) {
    super();
    this.observer = new IntersectionObserver(
      (entries) => entries.forEach(({ target, isIntersecting }) => target.card.see(isIntersecting)),
      { rootMargin: "400px" },
    );
    [this.list, this.aside] = [list, aside].map((root) => new Sheets(root, this.observer));
    Object.assign(this, { answers, cards: [], portions: new Portions() });
    this.view = { threshold: 0.5, opacity: 0.45, outline: true, objects: [] };
    Object.assign(this.view, { knowsPresence: false, presence: 0, order: "given" });
  }

  /** Have one card for each of these photographs, in their order; what was found in them before stays. */
  sync(queries) {
    this.keep(queries);
    const known = new Map(this.cards.map((card) => [card.query, card]));
    this.cards = queries.map((query) => known.get(query) ?? this.#newCard(query));
    this.arrange();
  }

  /** Keep cards of these photographs alone. */
  keep(queries) {
    const wanted = new Set(queries);
    for (const card of this.cards) if (!wanted.has(card.query)) this.#drop(card);
    this.cards = this.cards.filter((card) => wanted.has(card.query));
  }

  #newCard(query) {
    return new Card(this, query, this.answers);
  }

  /** Cards that a run is for: those without a result of an object as it is now; else all but the corrected. */
  get due() {
    const due = this.cards.filter(({ finding }) => finding.due.length);
    return due.length ? due : this.cards.filter(({ finding }) => finding.open.length);
  }

  /** Cards with something to show. */
  get known() {
    return this.cards.filter((card) => card.isKnown);
  }

  /** Note that results of an object are those of another mark of it. */
  resave({ id, from, to }) {
    for (const card of this.cards) {
      const result = card.finding.results.get(id);
      if (result?.of !== from) continue;
      result.of = to;
      this.answers.onChange(card);
    }
  }

  /** The options that make the service's mask the one that is shown. */
  get options() {
    const { threshold, knowsPresence, presence } = this.view;
    return knowsPresence ? { threshold, presence_threshold: presence } : { threshold };
  }

  /** The cards with a result, as they are shown. */
  get shown() {
    const lists = this.aside.root.hidden ? [this.list] : [this.list, this.aside];
    return lists.flatMap(({ cards }) => cards).filter((card) => card.isKnown);
  }

  /**
   * Change thresholds, opacity, outline, order or objects. What is in sight follows at once; words do
   * when the slider rests, as each change of them lays hundreds of cards out anew.
   */
  look(change) {
    Object.assign(this.view, change);
    this.looked = performance.now();
    if (MOVES.some((name) => name in change)) this.arrange();
    const inSight = this.cards.filter((card) => card.visible).sort((a, b) => a.drawn - b.drawn);
    this.portions.do(inSight.map((card) => () => card.drawOverlay()));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#settle(), SETTLE_MS);
  }

  #settle() {
    const undrawn = this.cards.filter((card) => card.visible && card.drawn < this.looked);
    this.portions.do([
      ...undrawn.map((card) => () => card.drawOverlay()),
      ...this.cards.map((card) => () => card.measure()),
    ]);
    this.dispatchEvent(new Event("settle"));
  }

  /** Put the cards in order, and aside what is probably not there; `cards` stays in the order given. */
  arrange() {
    const { order } = this.view;
    const ordered = order === "given" ? this.cards : this.cards.toSorted(bySurety);
    this.aside.place(ordered.filter(({ finding }) => finding.absent));
    this.list.place(ordered.filter(({ finding }) => !finding.absent));
  }

  #drop(card) {
    this.observer.unobserve(card.root);
    card.root.remove();
  }
}

function bySurety(one, other) {
  return other.finding.presence - one.finding.presence;
}
