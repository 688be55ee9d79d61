/** The run: which photographs it is for, how far it is, and what is left of before. */

import { announce, notify } from "./notices.js";
import { isLost, segmentAll } from "./run.js";

const element = (id) => document.getElementById(id);

/** Emits "change" after a run, and after anything that makes another one due. */
export class Segmenting extends EventTarget {
  /**
   * @param {import("./objects.js").ObjectList} objects
   * @param {import("./queries.js").QueryList} queries
   * @param {import("./results.js").ResultList} results
   */
  constructor(objects, queries, results) {
    super();
    Object.assign(this, { objects, queries, results, running: null, shown: "" });
    [this.show, this.give] = [element("show"), element("give")];
    objects.addEventListener("change", () => this.update());
    queries.addEventListener("change", () => this.#queriesChanged());
    element("run").addEventListener("click", () => this.run());
    element("stale-run").addEventListener("click", () => this.run());
    element("cancel").addEventListener("click", () => this.running?.abort());
  }

  /** Segment what lacks a result of these objects; where nothing does, everything that is not corrected. */
  async run() {
    if (!this.#isComplete()) return;
    this.results.sync(this.queries.files);
    this.update();
    element("get").scrollIntoView();
    await this.segment(this.results.due);
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
      this.#tell(problem);
    } finally {
      this.running = null;
      this.#setRunning(false);
    }
    this.#segmentAdded();
  }

  async #segment(cards) {
    this.#showProgress(0, cards.length);
    for (const card of cards) Object.assign(card, { isAsked: true }).wait("Waiting");
    const sources = new Map();
    for (const object of [...this.objects.objects]) {
      const mark = this.objects.markOf(object);
      sources.set(object.id, { object, mark, source: await this.objects.sourceOf(object) });
    }
    const jobs = cards.map((card) => {
      const { due, open } = card.finding;
      return { card, wanted: (due.length ? due : open).map(({ id }) => sources.get(id)) };
    });
    await segmentAll(jobs, this.running.signal, (done) => this.#showProgress(done, cards.length));
  }

  /** Say what ended the run where it can be mended: with the object's photographs, or beside the run. */
  #tell(problem) {
    const step = isLost(problem) ? this.give : this.show;
    if (step === this.show && this.objects.objects.includes(problem.object)) this.objects.activate(problem.object);
    notify(step, problem.message);
    step.scrollIntoView();
  }

  /** Say in each step what is missing; true where nothing is. */
  #isComplete() {
    const { lacking } = this.objects;
    const queryLack = this.queries.files.length ? "" : "Choose at least one photograph to find the object in.";
    if (lacking) this.objects.activate(lacking);
    notify(this.show, lacking ? this.objects.lackOf(lacking) : "");
    notify(this.give, queryLack);
    if (lacking) this.show.scrollIntoView();
    return !lacking && !queryLack;
  }

  #queriesChanged() {
    notify(this.give);
    this.results.keep(this.queries.files);
    this.update();
    this.#segmentAdded();
  }

  /** Photographs that join results of the same objects are segmented at once, and they alone. */
  #segmentAdded() {
    const { results, objects, queries } = this;
    const isCurrent = results.known.some(({ finding }) => finding.results.size && !finding.due.length);
    if (this.running || objects.lacking || !isCurrent) return;
    results.sync(queries.files);
    const added = results.cards.filter(({ isAsked }) => !isAsked);
    if (added.length) this.segment(added);
  }

  #setRunning(on) {
    element("run").hidden = on;
    element("progress").hidden = !on;
    element("stale-run").disabled = on;
    this.update();
    if (on) return;
    announce(`${this.results.known.length} of ${this.results.cards.length} done.`);
    this.results.arrange();
  }

  #showProgress(done, total) {
    Object.assign(element("progress-bar"), { value: done, max: total });
    element("progress-text").textContent = `${done} of ${total} done`;
  }

  /** Mark what is of before, and name what the button does. */
  update() {
    const { results } = this;
    const objects = this.objects.shown;
    if (JSON.stringify(objects) !== this.shown) {
      this.shown = JSON.stringify(objects);
      results.look({ objects });
    }
    const stale = results.cards.filter(({ finding }) => finding.stale).length;
    element("stale").hidden = !stale;
    element("stale-count").textContent = `The ${objects.length > 1 ? "objects have" : "object has"} changed since. ${
      stale === 1 ? "One result is" : `${stale} results are`
    } from before.`;
    element("run").textContent = this.#deed(stale);
    element("results").hidden = !results.cards.length;
    element("no-results").hidden = results.cards.length > 0;
    this.dispatchEvent(new Event("change"));
  }

  #deed(stale) {
    const count = this.queries.files.length;
    const known = this.results.known;
    const missing = this.results.view.objects.filter((object) => this.#isSought(object));
    if (missing.length && !stale && known.length === count) {
      return `Find ${missing.map(({ name }) => name).join(", ")} too`;
    }
    if (stale || (known.length && known.length === count)) return "Run again";
    if (known.length) return `Segment ${count - known.length} more`;
    return count > 1 ? `Segment ${count} photographs` : "Segment";
  }

  /** Whether an object is new to results that know others. */
  #isSought(object) {
    return this.results.known.some(({ finding }) => !finding.isCorrected(object) && !finding.resultOf(object));
  }
}
