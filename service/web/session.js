/** The work on the page, kept in this browser: photographs, what is painted, results, corrections. */

import { address } from "./api.js";
import { newId } from "./identity.js";
import { openKept } from "./kept.js";
import { Shot } from "./shots.js";

const SETTLE_MS = 300; // from the last stroke to its being kept

/**
 * Emits "change" when `isSettled` may have changed. `isKept` is false once something could not be
 * kept: a reload would lose it.
 */
export class Session extends EventTarget {
  /**
   * @param {{editor: import("./editor.js").Editor, saved: import("./saved.js").SavedObjects,
   *   queries: import("./queries.js").QueryList, results: import("./results.js").ResultList,
   *   fusion: HTMLSelectElement}} page
   */
  constructor(page) {
    super();
    Object.assign(this, page, { store: null, isKept: false, writing: 0 });
    this.ids = new WeakMap(); // of queries' files
    this.known = { shots: new Map(), queries: new Set(), sources: new Set() };
  }

  /** Bring back what was kept, then keep what comes. */
  async begin() {
    this.store = await openKept(`sgone work at ${address("")}`);
    if (this.store) {
      this.isKept = true;
      await this.#bringBack().catch(() => (this.isKept = false));
      this.#follow();
    }
    this.#tell();
  }

  /** Whether all is kept by now. */
  get isSettled() {
    return this.isKept && !this.writing && !this.timer;
  }

  /** Keep a card's result and correction. */
  keepCard(card) {
    const { query, result, correction } = card;
    if (!result || !this.store || !this.results.cards.includes(card)) return;
    const { source, ...rest } = result;
    if (!this.known.sources.has(result.of)) {
      this.known.sources.add(result.of);
      this.#write("put", "sources", result.of, source);
    }
    this.#write("put", "results", this.#idOf(query), { result: rest, correction });
    this.#forgetSources();
  }

  async #bringBack() {
    const [queries, results, sources, settings, shots] = await Promise.all(
      ["queries", "results", "sources", "settings", "shots"].map((table) => this.store.all(table)),
    );
    this.fusion.value = settings.get("fusion") ?? this.fusion.value;
    await this.#bringShots(inOrder(shots));
    const picked = this.saved.library.sets.find(({ id }) => id === settings.get("picked"));
    if (picked) this.saved.library.pick(picked);
    this.#bringQueries(inOrder(queries));
    this.#bringResults(results, sources);
  }

  async #bringShots(rows) {
    for (const [id, { file, picture, state }] of rows) {
      const shot = await Shot.open(file).catch(() => null);
      if (!shot) continue;
      shot.id = id;
      await shot.mask.restore(picture, state);
      this.known.shots.set(id, state);
      this.editor.shots.add(shot);
    }
  }

  #bringQueries(rows) {
    for (const [id, { file }] of rows) {
      this.ids.set(file, id);
      this.known.queries.add(id);
    }
    this.queries.add(rows.map(([, { file }]) => file));
  }

  #bringResults(results, sources) {
    const found = (file) => results.get(this.#idOf(file));
    this.results.sync(this.queries.files.filter(found));
    for (const card of this.results.cards) {
      const { result, correction } = found(card.query);
      const source = sources.get(result.of);
      card.request = { source, mark: result.of };
      card.take({ result: { ...result, source }, correction });
    }
    this.known.sources = new Set(sources.keys());
    this.#forgetSources();
  }

  /** Keep no object's photographs for which no result is left. */
  #forgetSources() {
    const used = new Set(this.results.cards.map(({ result }) => result?.of));
    for (const mark of this.known.sources) {
      if (used.has(mark)) continue;
      this.known.sources.delete(mark);
      this.#write("remove", "sources", mark);
    }
  }

  #follow() {
    const keepSetting = (name, value) => this.#write("put", "settings", name, value);
    this.queries.addEventListener("change", () => this.#keepQueries());
    this.editor.addEventListener("change", () => this.#shotsChanged());
    this.saved.library.addEventListener("pick", () => keepSetting("picked", this.saved.picked?.id ?? ""));
    this.fusion.addEventListener("change", () => keepSetting("fusion", this.fusion.value));
  }

  #keepQueries() {
    const now = new Map(this.queries.files.map((file, place) => [this.#idOf(file), { file, place }]));
    for (const [id, row] of now) if (!this.known.queries.has(id)) this.#write("put", "queries", id, row);
    for (const id of this.known.queries) {
      if (now.has(id)) continue;
      this.#write("remove", "queries", id);
      this.#write("remove", "results", id);
    }
    this.known.queries = new Set(now.keys());
    this.#forgetSources();
  }

  /** A saved object that is open is kept by the service; the shots that it stands for come back. */
  #shotsChanged() {
    clearTimeout(this.timer);
    this.timer = this.saved.opened.set ? 0 : setTimeout(() => this.#keepShots(), SETTLE_MS);
    this.#tell();
  }

  async #keepShots() {
    const { timer } = this;
    const { shots } = this.editor.shots;
    const before = this.known.shots;
    this.known.shots = new Map(shots.map(({ id, mask }) => [id, mask.state]));
    for (const id of before.keys()) if (!this.known.shots.has(id)) this.#write("remove", "shots", id);
    for (const [place, { id, file, mask }] of shots.entries()) {
      if (before.get(id) === mask.state) continue;
      const { state } = mask;
      this.#write("put", "shots", id, { file, place, state, picture: await mask.toPicture() });
    }
    if (this.timer === timer) this.timer = 0;
    this.#tell();
  }

  /** Not waited for; what fails is told by `isKept`. */
  async #write(deed, ...row) {
    this.writing += 1;
    this.#tell();
    await this.store[deed](...row).catch(() => (this.isKept = false));
    this.writing -= 1;
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  #idOf(file) {
    if (!this.ids.has(file)) this.ids.set(file, newId());
    return this.ids.get(file);
  }
}

function inOrder(rows) {
  return [...rows].sort(([, a], [, b]) => a.place - b.place);
}
