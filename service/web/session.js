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
   * @param {{objects: import("./objects.js").ObjectList, library: import("./library.js").Library,
   *   queries: import("./queries.js").QueryList, results: import("./results.js").ResultList}} page
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

  /** Keep a card's results and correction. */
  keepCard(card) {
    const { query, finding } = card;
    if (!card.isKnown || !this.store || !this.results.cards.includes(card)) return;
    const { results, correction, tallied } = finding;
    for (const { of, source } of results.values()) {
      if (this.known.sources.has(of)) continue;
      this.known.sources.add(of);
      this.#write("put", "sources", of, source);
    }
    const rows = [...results].map(([id, { source, ...rest }]) => [id, rest]);
    this.#write("put", "results", this.#idOf(query), { results: rows, correction, tallied });
    this.#forgetSources();
  }

  async #bringBack() {
    const [queries, results, sources, settings, shots] = await Promise.all(
      ["queries", "results", "sources", "settings", "shots"].map((table) => this.store.all(table)),
    );
    this.objects.fusion.value = settings.get("fusion") ?? this.objects.fusion.value;
    const kept = settings.get("objects") ?? [];
    if (kept.length) await this.#bringObjects(kept, settings.get("active"), inOrder(shots));
    this.#bringQueries(inOrder(queries));
    this.#bringResults(results, sources);
  }

  async #bringObjects(kept, active, rows) {
    const objects = [];
    for (const { picked, ...object } of kept) {
      const set = this.library.sets.find(({ id }) => id === picked) ?? null;
      const own = rows.filter(([, row]) => row.object === object.id);
      objects.push({ ...object, set, shots: await this.#bringShots(own, kept.length > 1 ? [object.colour] : null) });
    }
    this.objects.bringBack(objects, active);
  }

  async #bringShots(rows, colours) {
    const shots = [];
    for (const [id, { file, picture, state }] of rows) {
      const shot = await Shot.open(file, colours).catch(() => null);
      if (!shot) continue;
      shot.id = id;
      await shot.mask.restore(picture, state);
      this.known.shots.set(id, state);
      shots.push(shot);
    }
    return shots;
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
      const { results: rows, correction, tallied } = found(card.query);
      const known = rows.map(([id, result]) => [id, { ...result, source: sources.get(result.of) }]);
      Object.assign(card.finding, { results: new Map(known), correction, tallied });
      card.isAsked = true;
      card.refresh();
    }
    this.known.sources = new Set(sources.keys());
    this.#forgetSources();
  }

  /** Keep no object's photographs for which no result is left. */
  #forgetSources() {
    const results = this.results.cards.flatMap(({ finding }) => [...finding.results.values()]);
    const used = new Set(results.map(({ of }) => of));
    for (const mark of this.known.sources) {
      if (used.has(mark)) continue;
      this.known.sources.delete(mark);
      this.#write("remove", "sources", mark);
    }
  }

  #follow() {
    this.queries.addEventListener("change", () => this.#keepQueries());
    this.objects.addEventListener("change", () => this.#objectsChanged());
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

  #objectsChanged() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#keepObjects(), SETTLE_MS);
    this.#tell();
  }

  async #keepObjects() {
    const { timer, objects } = this;
    const settings = {
      fusion: objects.fusion.value,
      active: objects.active.id,
      objects: objects.objects.map((object) => {
        const { id, name, colour } = object;
        return { id, name, colour, picked: objects.stateOf(object).set?.id ?? "" };
      }),
    };
    for (const [name, value] of Object.entries(settings)) this.#write("put", "settings", name, value);
    await this.#keepShots(objects.objects.flatMap((object) => this.#ownShots(object)));
    if (this.timer === timer) this.timer = 0;
    this.#tell();
  }

  /** A saved object that is open is kept by the service; the shots that it stands for come back. */
  #ownShots(object) {
    const { shots, opened } = this.objects.stateOf(object);
    return (opened.set ? opened.aside : shots).map((shot, place) => ({ shot, place, object: object.id }));
  }

  async #keepShots(rows) {
    const before = this.known.shots;
    this.known.shots = new Map(rows.map(({ shot }) => [shot.id, shot.mask.state]));
    for (const id of before.keys()) if (!this.known.shots.has(id)) this.#write("remove", "shots", id);
    for (const { shot, place, object } of rows) {
      const { id, file, mask } = shot;
      const { state } = mask;
      if (before.get(id) === state) continue;
      this.#write("put", "shots", id, { file, place, object, state, picture: await mask.toPicture() });
    }
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
