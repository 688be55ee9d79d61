/** "Download everything": the dialog that asks for formats, and the download. */

import { download } from "./intake.js";
import { showLegend } from "./legend.js";
import { photographs } from "./library.js";
import { notify, tell } from "./notices.js";
import { archiveOf } from "./outputs.js";

const element = (id) => document.getElementById(id);

export class Everything {
  /**
   * @param {import("./results.js").ResultList} results
   * @param {() => string} label what a lone object is called
   */
  constructor(results, label) {
    Object.assign(this, { results, label, running: null });
    this.dialog = element("everything");
    this.form = this.dialog.querySelector("form");
    element("everything-open").addEventListener("click", () => this.open());
    element("everything-cancel").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("change", () => this.#update());
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.dialog.addEventListener("close", () => this.running?.abort());
  }

  /** Ask what is wanted; nothing where there is no result. */
  open() {
    if (!this.#cards.length) return;
    notify(this.dialog);
    element("everything-label").value ||= this.label();
    this.#update();
    this.dialog.showModal();
  }

  get #cards() {
    return this.results.known;
  }

  get #areSeveral() {
    return this.results.view.objects.length > 1;
  }

  get #options() {
    const chosen = new FormData(this.form);
    return {
      formats: chosen.getAll("format"),
      labels: this.#labels(chosen.get("label").trim() || "object"),
      instances: chosen.has("instances"),
    };
  }

  #labels(ofOne) {
    return this.#areSeveral ? this.results.view.objects.map(({ name }) => name) : [ofOne];
  }

  async #submit(event) {
    event.preventDefault();
    const [cards, options] = [this.#cards, this.#options];
    this.running = new AbortController();
    this.#update();
    notify(this.dialog);
    try {
      const { signal } = this.running;
      download(await archiveOf(cards, options, (done) => this.#showProgress(done, cards.length), signal), "masks.zip");
      for (const card of cards) card.noteSaved();
      this.dialog.close();
      tell(`Masks of ${photographs(cards.length)} are downloaded.`);
    } catch (problem) {
      if (problem.name !== "AbortError") notify(this.dialog, problem.message);
    } finally {
      this.running = null;
      this.#update();
    }
  }

  #showProgress(done, total) {
    element("everything-count").textContent =
      done < total ? `Preparing ${done + 1} of ${total} …` : "The service writes the files …";
  }

  #update() {
    element("everything-go").disabled = this.running !== null || !this.#options.formats.length;
    if (this.running) return;
    for (const part of this.dialog.querySelectorAll("[data-when=one]")) part.hidden = this.#areSeveral;
    showLegend(element("everything-legend"), this.results.view.objects, "legend-template");
    const corrected = this.#cards.filter(({ finding }) => finding.correction).length;
    const missing = this.results.cards.length - this.#cards.length;
    element("everything-count").textContent =
      `Masks of ${photographs(this.#cards.length)}` +
      (corrected ? `, ${corrected} of them corrected` : "") +
      (missing ? `. Without a result, and left out: ${missing}.` : ".");
  }
}
