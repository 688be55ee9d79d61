/** A saved object that is open again: its pairs as shots, and what of them is not saved yet. */

import { addPairs, changeSet, deletePair, pairFile, replacePair } from "./api.js";
import { Shot } from "./shots.js";

/**
 * Emits "change" after anything about it changes, "saving" before it is saved and "saved" once it is.
 * `set` is null while nothing is open.
 */
export class OpenedSet extends EventTarget {
  /**
   * @param {HTMLFormElement} form its name and its buttons
   * @param {import("./shots.js").ShotList} shots where its pairs are shown
   */
  constructor(form, shots) {
    super();
    Object.assign(this, { form, shots, set: null, loaded: [], aside: [] });
    this.name = form.querySelector("input");
    this.name.addEventListener("input", () => this.#tell());
    shots.addEventListener("change", () => this.#tell());
  }

  /**
   * Show a set's pairs in place of the shots that are there, which come back at the end.
   * @returns {Promise<string>} a sentence about pairs that this browser cannot show, or nothing
   */
  async open(set) {
    const loaded = [];
    for (const [index, pair] of set.pairs.entries()) {
      loaded.push(await openShot(set, pair, index + 1).catch(passOnProblem));
    }
    const shown = loaded.filter(Boolean);
    this.set = set;
    this.loaded = [...shown];
    this.name.value = set.name;
    this.aside = this.shots.exchange([]);
    for (const shot of shown) this.shots.add(shot);
    this.shots.activate(shown[0] ?? null);
    const hidden = loaded.length - shown.length;
    return hidden ? `This browser cannot show ${hidden} of ${loaded.length} photographs; they stay as they are.` : "";
  }

  /** What is open, so that another object can take its place for a while; `isChanged` but for its name. */
  get state() {
    const { set, loaded, aside, name, news } = this;
    const isChanged = set !== null && Object.values(this.#changedShots()).some(({ length }) => length);
    return { set, loaded, aside, name: name.value, news, isChanged };
  }

  /** Have nothing open, and leave the shots where they are. */
  takeOff() {
    const { state } = this;
    Object.assign(this, { set: null, loaded: [], aside: [] });
    return state;
  }

  /** Have what was taken off. */
  putOn({ set, loaded, aside, name }) {
    Object.assign(this, { set, loaded, aside });
    this.name.value = name;
    this.#tell();
  }

  /** What differs from what is saved, in words; empty where nothing does. */
  get news() {
    if (!this.set) return "";
    const { removed, added, repainted, renamed } = this.#changes();
    const counts = { repainted, added, removed };
    const parts = Object.entries(counts).flatMap(([word, { length }]) => (length ? `${length} ${word}` : []));
    return [...(renamed ? ["another name"] : []), ...parts].join(", ");
  }

  /**
   * Save what differs. What is saved before something fails is not sent again.
   * @returns {Promise<import("./api.js").SupportSet>} as it is now. Rejects with a sentence.
   */
  async save() {
    const { id } = this.set;
    this.dispatchEvent(new Event("saving"));
    const { removed, added, repainted, renamed } = this.#changes();
    if (renamed) this.set = await changeSet(id, this.name.value.trim());
    for (const shot of repainted) {
      const { mask, maskName } = await shot.toPair();
      this.set = await replacePair(id, shot.pair.id, { mask, maskName });
      shot.mask.forget();
    }
    // A set keeps a pair at least and takes so many at most: what comes takes the place of what goes.
    while (removed.length && added.length) {
      const [old, shot] = [removed.shift(), added.shift()];
      this.set = await replacePair(id, old.pair.id, await shot.toPair());
      this.#keep(shot, old.pair, old);
    }
    for (const old of removed) {
      await deletePair(id, old.pair.id);
      const pairs = this.set.pairs.filter((pair) => pair.id !== old.pair.id);
      this.set = { ...this.set, pairs, shots: pairs.length };
      this.#keep(null, null, old);
    }
    if (added.length) await this.#add(added);
    this.dispatchEvent(new Event("saved"));
    return this.set;
  }

  /** Leave what is not saved, and bring back the shots that were there. */
  close() {
    if (!this.set) return;
    this.set = null;
    for (const shot of this.shots.exchange(this.aside)) shot.bitmap.close();
    Object.assign(this, { loaded: [], aside: [] });
    this.#tell();
  }

  async #add(shots) {
    const pairs = [];
    for (const shot of shots) pairs.push(await shot.toPair());
    this.set = await addPairs(this.set.id, pairs);
    const stored = this.set.pairs.slice(-shots.length);
    shots.forEach((shot, index) => this.#keep(shot, stored[index]));
  }

  /** Note that a shot is saved as a pair, or that another is gone. */
  #keep(shot, pair, gone = null) {
    this.loaded = this.loaded.filter((other) => other !== gone);
    if (!shot) return;
    shot.pair = pair;
    shot.mask.forget();
    this.loaded.push(shot);
  }

  #changes() {
    const name = this.name.value.trim();
    return { ...this.#changedShots(), renamed: Boolean(name) && name !== this.set.name };
  }

  #changedShots() {
    const { shots } = this.shots;
    return {
      removed: this.loaded.filter((shot) => !shots.includes(shot)),
      added: shots.filter((shot) => !shot.pair),
      repainted: shots.filter((shot) => shot.pair && shot.mask.canUndo),
    };
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

async function openShot(set, pair, number) {
  const image = await pairFile(set.id, pair.id, "image", `${set.name} ${number}`);
  const shot = await Shot.open(image);
  await shot.loadMask(await pairFile(set.id, pair.id, "mask", `${set.name} ${number}.mask`));
  shot.mask.forget();
  return Object.assign(shot, { pair, reading: null }); // nobody chose that file
}

/** A file that this browser cannot show is left out; anything the service says is said. */
function passOnProblem(error) {
  if (error.status !== undefined) throw error;
  return null;
}
