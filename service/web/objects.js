/** What is looked for: one object or several side by side, of which step 1 shows one. */

import { SIDE_BY_SIDE } from "./colours.js";
import { newId } from "./identity.js";

const NOTHING_OPEN = { set: null, loaded: [], aside: [], name: "", news: "", isChanged: false };

/**
 * @typedef {{set: ?import("./api.js").SupportSet, shots: import("./shots.js").Shot[],
 *   at: ?import("./shots.js").Shot, opened: Object}} State what shows an object: a saved one that is
 *   picked, or shots, of which one is on the stage; `opened` as `OpenedSet` has it
 * @typedef {{id: string, name: string, colour: number[], parked: ?State}} ListedObject `name` is blank
 *   until one is given; `parked` is null while step 1 shows it
 */

/**
 * Emits "change" when anything about them is other than before, and "resave" with {id, from, to} when
 * an object got another mark without being another.
 */
export class ObjectList extends EventTarget {
  /**
   * @param {import("./saved.js").SavedObjects} saved
   * @param {import("./editor.js").Editor} editor
   * @param {HTMLSelectElement} fusion
   */
  constructor(saved, editor, fusion) {
    super();
    Object.assign(this, { saved, editor, fusion, isSwitching: false });
    this.active = { ...this.#fresh([]), parked: null };
    this.objects = [this.active];
    this.#listen();
  }

  #listen() {
    const tell = () => this.#tell();
    const { library, opened } = this.saved;
    library.addEventListener("pick", tell);
    for (const source of [opened, this.editor, this.fusion]) source.addEventListener("change", tell);
    library.addEventListener("delete", ({ detail }) => this.#forget(detail));
    let from = "";
    opened.addEventListener("saving", () => (from = this.markOf(this.active)));
    opened.addEventListener("saved", () => {
      const detail = { id: this.active.id, from, to: this.markOf(this.active) };
      this.dispatchEvent(new CustomEvent("resave", { detail }));
    });
  }

  /** Whether another one may be added. */
  get hasRoom() {
    return this.objects.length < SIDE_BY_SIDE.length;
  }

  get areSeveral() {
    return this.objects.length > 1;
  }

  /** As results know them, in order. */
  get shown() {
    return this.objects.map((object) => {
      return { id: object.id, name: this.nameOf(object), colour: object.colour, mark: this.markOf(object) };
    });
  }

  /** What an object is called, no two of them alike. */
  nameOf(object) {
    const names = this.objects.map((one, place) => this.givenName(one) || `Object ${place + 1}`);
    const place = this.objects.indexOf(object);
    const twins = names.slice(0, place).filter((name) => name === names[place]).length;
    return twins ? `${names[place]} ${twins + 1}` : names[place];
  }

  /** The name that it was given, or that it is saved under; blank where there is none. */
  givenName(object) {
    const { set, opened } = this.stateOf(object);
    return object.name || (set ?? opened.set)?.name || "";
  }

  /** Names an object as it is shown now: another after every change, the same again after undo. */
  markOf(object) {
    const { shots } = this.stateOf(object);
    const set = this.#wholeSet(object);
    if (set) return `set ${set.id} ${set.pairs.map(({ id, created }) => id + created)}`;
    return `shots ${shots.map(({ id, mask }) => `${id} ${mask.state}`)}${shots.length > 1 ? this.fusion.value : ""}`;
  }

  /** What is missing before an object can be looked for, as a sentence; empty where nothing is. */
  lackOf(object) {
    const { set, shots } = this.stateOf(object);
    return set ? "" : this.editor.lackOf(shots);
  }

  /** The first object that something is missing of. */
  get lacking() {
    return this.objects.find((object) => this.lackOf(object));
  }

  /** @returns {Promise<import("./api.js").Source>} */
  async sourceOf(object) {
    const set = this.#wholeSet(object);
    if (set) return { set };
    const pairs = [];
    for (const shot of this.stateOf(object).shots) pairs.push(await shot.toPair());
    return { pairs, fusion: this.fusion.value };
  }

  /** @returns {State} */
  stateOf(object) {
    if (object.parked) return object.parked;
    const { shots, active } = this.editor.shots;
    return { set: this.saved.picked, shots, at: active, opened: this.saved.opened.state };
  }

  /** Have one more, and show it in step 1. */
  add() {
    const object = this.#fresh(this.objects);
    this.objects.push(object);
    this.#recolour();
    this.activate(object);
  }

  /** Show another one in step 1. */
  activate(object) {
    if (object === this.active) return;
    this.isSwitching = true;
    this.active.parked = this.#takeOff();
    this.#putOn(object);
    this.isSwitching = false;
    this.#tell();
  }

  rename(object, name) {
    object.name = name;
    this.#tell();
  }

  /** Leave an object; the one before it is shown then. */
  remove(object) {
    const place = this.objects.indexOf(object);
    if (object === this.active) this.activate(this.objects[place - 1] ?? this.objects[place + 1]);
    this.objects.splice(place, 1);
    for (const shot of [...object.parked.shots, ...object.parked.opened.aside]) shot.bitmap.close();
    this.#recolour();
    this.#tell();
  }

  /**
   * Have these in place of what is there, as after a reload.
   * @param {{id: string, name: string, colour: number[], set: ?Object,
   *   shots: import("./shots.js").Shot[]}[]} kept
   */
  bringBack(kept, activeId) {
    this.isSwitching = true;
    this.objects = kept.map(({ id, name, colour, set, shots }) => {
      return { id, name, colour, parked: { set, shots, at: shots.at(-1), opened: NOTHING_OPEN } };
    });
    this.#putOn(this.objects.find(({ id }) => id === activeId) ?? this.objects[0]);
    this.isSwitching = false;
    this.#tell();
  }

  /** The set that is the object, if there is one: picked, or open and as it is saved. */
  #wholeSet(object) {
    const { set, opened } = this.stateOf(object);
    return set ?? (opened.isChanged ? null : opened.set);
  }

  #fresh(others) {
    const taken = new Set(others.map(({ colour }) => String(colour)));
    const colour = SIDE_BY_SIDE.find((one) => !taken.has(String(one)));
    return { id: newId(), name: "", colour, parked: { set: null, shots: [], at: null, opened: NOTHING_OPEN } };
  }

  #takeOff() {
    const { editor, saved } = this;
    const { set, at } = this.stateOf(this.active);
    return { set, at, opened: saved.opened.takeOff(), shots: editor.shots.exchange([]) };
  }

  #putOn(object) {
    const { set, shots, at, opened } = object.parked;
    object.parked = null;
    this.active = object;
    this.editor.colours = this.areSeveral ? [object.colour] : null;
    this.saved.opened.putOn(opened);
    this.editor.shots.exchange(shots, at);
    this.saved.library.pick(set);
  }

  /** One object's colour stands out on each photograph; several have each its own. */
  #recolour() {
    this.editor.colours = this.areSeveral ? [this.active.colour] : null;
    for (const object of this.objects) {
      const { shots, opened } = this.stateOf(object);
      for (const shot of [...shots, ...opened.aside]) shot.recolour(this.areSeveral ? object.colour : null);
    }
  }

  #forget(setId) {
    for (const { parked } of this.objects) if (parked?.set?.id === setId) parked.set = null;
    this.#tell();
  }

  #tell() {
    if (this.isSwitching) return;
    for (const object of this.objects) {
      const label = this.areSeveral ? this.nameOf(object) : "";
      for (const shot of this.stateOf(object).shots) shot.label = label;
    }
    this.dispatchEvent(new Event("change"));
  }
}
