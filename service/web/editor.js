/** Step 1's controls: the toolbar, the shots, their masks. */

import { admitted, sameAs } from "./admission.js";
import { download, onChosen, onDropped } from "./intake.js";
import { announce, notify } from "./notices.js";
import { Painter } from "./painter.js";
import { Shot, ShotList } from "./shots.js";
import { Toolbar } from "./toolbar.js";

const element = (id) => document.getElementById(id);

/**
 * Emits "change" after anything about the shots changes. `colours` has the object's; null for one that
 * stands out on each photograph.
 */
export class Editor extends EventTarget {
  /** @param {HTMLElement} section step 1, where its notices go as well */
  constructor(section) {
    super();
    Object.assign(this, { section, filling: false, colours: null });
    this.painter = new Painter(element("stage"));
    this.shots = new ShotList(element("shot-list"));
    this.shots.addEventListener("change", () => this.#update());
    this.toolbar = new Toolbar(section.querySelector("[role=toolbar]"), this.painter);
    this.#onClick("fill-in", () => this.#fillIn());
    this.#wireFiles();
    section.addEventListener("keydown", (event) => this.toolbar.key(event, { f: () => this.#fillIn() }));
    this.#update();
  }

  /** Add photographs as shots; what cannot be is said in the notice, the rest are taken. */
  async add(files) {
    const { taken, said } = await admitted(files, this.shots.files);
    await this.#attempt(async () => {
      for (const file of taken) this.shots.add(await Shot.open(file, this.colours));
      if (said) throw new Error(said);
    });
  }

  /** Add a photograph with the mask that belongs to it. */
  async addWithMask(photograph, mask) {
    await this.#attempt(async () => {
      const shot = await Shot.open(photograph, this.colours);
      await shot.loadMask(mask);
      this.shots.add(shot);
    });
  }

  /**
   * Add a photograph with what is object in it; one that is there already gets this mask.
   * @param {import("./pictures.js").Classes} mask of the photograph's own size
   */
  async addMasked(photograph, mask) {
    await this.#attempt(async () => {
      const known = this.shots.of(await sameAs(photograph, this.shots.files));
      const shot = known ?? (await Shot.open(photograph, this.colours));
      shot.mask.load(mask);
      if (known) this.shots.activate(known);
      else this.shots.add(shot);
    });
  }

  /** What is missing before a request can be made, as a sentence; empty when nothing is. */
  get lack() {
    return this.lackOf(this.shots.shots);
  }

  /** The same of other shots. */
  lackOf(shots) {
    if (!shots.length) return "Choose a photograph that shows the object, then paint over it.";
    const unpainted = shots.find((shot) => shot.mask.share() === 0);
    if (!unpainted) return "";
    return `Nothing is painted in ${unpainted.file.name}. Paint over the object, or remove the photograph.`;
  }

  #wireFiles() {
    const take = (files) => this.add(files);
    onChosen(element("shot-file"), take);
    onChosen(element("shot-add"), take);
    onDropped(this.section, take);
    onChosen(element("mask-file"), ([file]) => {
      this.#attempt(() => this.shots.active.loadMask(file));
    });
    element("mask-format").addEventListener("change", ({ target }) => {
      const { active } = this.shots;
      this.#attempt(() => active.loadMask(active.reading.file, target.value));
    });
    this.#onClick("mask-save", async () => {
      const { mask, maskName } = await this.shots.active.toPair();
      download(mask, maskName);
    });
    this.#onClick("shot-remove", () => this.shots.remove(this.shots.active));
  }

  /** One at a time; it is for the photograph that was on the stage when it was asked for. */
  async #fillIn() {
    const { active } = this.shots;
    if (this.filling || !active.mask.share()) return;
    this.filling = true;
    this.#update();
    await this.#attempt(() => active.fillIn().finally(() => (this.filling = false)));
    announce(element("painted-share").textContent);
  }

  #onClick(id, act) {
    element(id).addEventListener("click", act);
  }

  async #attempt(work) {
    notify(this.section);
    const problem = await work().then(() => null, (error) => error);
    this.#update();
    if (problem) notify(this.section, problem.message);
  }

  #update() {
    const { active } = this.shots;
    element("shot-drop").hidden = Boolean(active);
    element("editor").hidden = !active;
    this.painter.show(active);
    this.painter.draw();
    if (active) {
      this.toolbar.update();
      const share = active.mask.share();
      element("fill-in").disabled = share === 0 || this.filling;
      element("fill-in").setAttribute("aria-busy", String(this.filling));
      element("painted-share").textContent = this.#painted(share);
      if (share) notify(this.section);
      this.#showReading(active.reading);
    }
    this.dispatchEvent(new Event("change"));
  }

  #painted(share) {
    const { name } = this.shots.active.file;
    if (this.filling) return "Filling in what is painted …";
    return share ? `${(100 * share).toFixed(1)} % of ${name} is painted.` : `Paint over the object in ${name}.`;
  }

  /** How the mask file that was loaded was read; another choice reads it again. */
  #showReading(reading) {
    element("mask-reading").hidden = !reading;
    if (!reading) return;
    element("mask-name").textContent = reading.file.name;
    element("mask-format").value = reading.format;
    element("mask-share").textContent =
      reading.share === undefined ? "" : `${(100 * reading.share).toFixed(1)} % of the picture`;
  }
}
