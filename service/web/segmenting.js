/** The run: which photographs it is for, how far it is, and what is left of before. */

import { announce, notify } from "./notices.js";
import { isLost, segmentAll } from "./run.js";

const element = (id) => document.getElementById(id);

/** Emits "change" after a run, and after anything that makes another one due. */
export class Segmenting extends EventTarget {
  /**
   * @param {import("./object.js").ShownObject} object
   * @param {import("./queries.js").QueryList} queries
   * @param {import("./results.js").ResultList} results
   */
  constructor(object, queries, results) {
    super();
    Object.assign(this, { object, queries, results, running: null });
    [this.show, this.give] = [element("show"), element("give")];
    object.addEventListener("change", () => this.update());
    queries.addEventListener("change", () => this.#queriesChanged());
    element("run").addEventListener("click", () => this.run());
    element("stale-run").addEventListener("click", () => this.run());
    element("cancel").addEventListener("click", () => this.running?.abort());
  }

  /** Segment what lacks a result of this object; where nothing does, everything that is not corrected. */
  async run() {
    if (!this.#isComplete()) return;
    this.results.sync(this.queries.files);
    this.update();
    const due = this.results.lacking(this.object.mark);
    element("get").scrollIntoView();
    await this.segment(due.length ? due : this.results.lacking(null));
  }

  /** Segment these cards' photographs; one run at a time, from before its masks are encoded. */
  async segment(cards) {
    if (this.running) return;
    this.running = new AbortController();
    this.#setRunning(true);
    notify(this.give);
    try {
      await this.#segment(cards);
    } catch (problem) {
      const step = isLost(problem) ? this.give : this.show;
      notify(step, problem.message);
      step.scrollIntoView();
    } finally {
      this.running = null;
      this.#setRunning(false);
    }
    this.#segmentAdded();
  }

  async #segment(cards) {
    const { mark } = this.object;
    this.#showProgress(0, cards.length);
    const source = await this.object.source();
    for (const card of cards) Object.assign(card, { request: { source, mark } }).wait("Waiting");
    await segmentAll(cards, this.running.signal, (done) => this.#showProgress(done, cards.length));
  }

  /** Say in each step what is missing; true where nothing is. */
  #isComplete() {
    const { lack } = this.object;
    const queryLack = this.queries.files.length ? "" : "Choose at least one photograph to find the object in.";
    notify(this.show, lack);
    notify(this.give, queryLack);
    if (lack) this.show.scrollIntoView();
    return !lack && !queryLack;
  }

  #queriesChanged() {
    notify(this.give);
    this.results.keep(this.queries.files);
    this.update();
    this.#segmentAdded();
  }

  /** Photographs that join results of the same object are segmented at once, and they alone. */
  #segmentAdded() {
    const { results, object, queries } = this;
    if (this.running || object.lack || !results.cards.some((card) => card.result?.of === object.mark)) return;
    results.sync(queries.files);
    const added = results.cards.filter(({ request }) => !request);
    if (added.length) this.segment(added);
  }

  #setRunning(on) {
    element("run").hidden = on;
    element("progress").hidden = !on;
    element("stale-run").disabled = on;
    this.update();
    if (on) return;
    const { cards } = this.results;
    announce(`${cards.filter(({ result }) => result).length} of ${cards.length} done.`);
    this.results.arrange();
  }

  #showProgress(done, total) {
    Object.assign(element("progress-bar"), { value: done, max: total });
    element("progress-text").textContent = `${done} of ${total} done`;
  }

  /** Mark what is of before, and name what the button does. */
  update() {
    const { results, object } = this;
    if (results.view.mark !== object.mark) results.look({ mark: object.mark });
    const stale = results.cards.filter((card) => card.stale).length;
    element("stale").hidden = !stale;
    element("stale-count").textContent =
      `The object has changed since. ${stale === 1 ? "One result is" : `${stale} results are`} from before.`;
    element("run").textContent = this.#deed(stale);
    element("results").hidden = !results.cards.length;
    element("no-results").hidden = results.cards.length > 0;
    this.dispatchEvent(new Event("change"));
  }

  #deed(stale) {
    const count = this.queries.files.length;
    const known = this.results.cards.filter(({ result }) => result).length;
    if (stale || (known && known === count)) return "Run again";
    if (known) return `Segment ${count - known} more`;
    return count > 1 ? `Segment ${count} photographs` : "Segment";
  }
}
