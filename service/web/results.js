/** The results, one card a photograph, and how they are looked at. */

import { Card } from "./card.js";
import { Portions } from "./portions.js";

const MOVES = ["presence", "order"]; // what of a view puts cards elsewhere
const SETTLE_MS = 100; // from the last move of a slider to the words that follow it

/** Emits "settle" when what was changed about the view has rested. */
export class ResultList extends EventTarget {
  /**
   * @param {HTMLElement} list where the cards go
   * @param {HTMLElement} aside where those go that probably do not show the object
   * @param {Object<string, Function>} answers those of a card
   */
  constructor(list, aside, answers) {
    super();
    Object.assign(this, { list, aside, answers, cards: [], portions: new Portions() });
    this.view = { threshold: 0.5, opacity: 0.45, outline: true, mark: "" };
    Object.assign(this.view, { knowsPresence: false, presence: 0, order: "given" });
    this.observer = new IntersectionObserver((entries) => entries.forEach(see), {
      rootMargin: "400px",
    });
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
    const card = new Card(this, query, this.answers);
    this.list.append(card.root);
    this.observer.observe(card.root);
    return card;
  }

  /** Cards that a run is for: without a result, or with one of another object than this mark's. */
  lacking(mark) {
    return this.cards.filter((card) => !card.correction && card.result?.of !== mark);
  }

  /** The options that make the service's mask the one that is shown. */
  get options() {
    const { threshold, knowsPresence, presence } = this.view;
    return knowsPresence ? { threshold, presence_threshold: presence } : { threshold };
  }

  /** The cards with a result, as they are shown. */
  get shown() {
    const lists = this.aside.hidden ? [this.list] : [this.list, this.aside];
    return lists.flatMap((list) => [...list.children].map((root) => root.card)).filter((card) => card.result);
  }

  /**
   * Change thresholds, opacity, outline, order or mark. What is in sight follows at once; words do
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
    const ordered = order === "given" ? this.cards : this.cards.toSorted((a, b) => b.presence - a.presence);
    place(this.aside, ordered.filter((card) => card.absent));
    place(this.list, ordered.filter((card) => !card.absent));
  }

  #drop(card) {
    this.observer.unobserve(card.root);
    card.root.remove();
  }
}

/** Have these cards in the list, in their order; those that are there already stay as they are. */
function place(list, cards) {
  const wanted = new Set(cards.map((card) => card.root));
  let at = list.firstElementChild;
  for (const root of wanted) {
    while (at && !wanted.has(at)) at = at.nextElementSibling;
    if (root === at) at = at.nextElementSibling;
    else list.insertBefore(root, at);
  }
}

function see({ target, isIntersecting }) {
  const { card } = target;
  card.visible = isIntersecting;
  if (isIntersecting) card.draw();
  else card.release();
}
