/** Step 1's controls: the toolbar, the shots, their masks. */

import { download, onChosen, onDropped } from "./intake.js";
import { announce, notify } from "./notices.js";
import { Painter } from "./painter.js";
import { Shot, ShotList } from "./shots.js";

const SIZE_STEP = 1.2;

const element = (id) => document.getElementById(id);

/** Emits "change" after anything about the shots changes. */
export class Editor extends EventTarget {
  /** @param {HTMLElement} section step 1, where its notices go as well */
  constructor(section) {
    super();
    this.section = section;
    this.filling = false;
    this.painter = new Painter(element("stage"));
    this.shots = new ShotList(element("shot-list"));
    this.shots.addEventListener("change", () => this.#update());
    this.painter.addEventListener("toolchange", () => this.#updateTools());
    this.#wireTools();
    this.#wireFiles();
    section.addEventListener("keydown", (event) => this.#key(event));
    this.#update();
  }

  /** Add photographs as shots; what cannot be shown is said in the notice, the rest are taken. */
  async add(files) {
    await this.#attempt(async () => {
      for (const file of files) this.shots.add(await Shot.open(file));
    });
  }

  /** Add a photograph with the mask that belongs to it. */
  async addWithMask(photograph, mask) {
    await this.#attempt(async () => {
      const shot = await Shot.open(photograph);
      await shot.loadMask(mask);
      this.shots.add(shot);
    });
  }

  /** What is missing before a request can be made, as a sentence; empty when nothing is. */
  get lack() {
    if (!this.shots.shots.length) return "Choose a photograph that shows the object, then paint over it.";
    const { unpainted } = this.shots;
    if (!unpainted) return "";
    return `Nothing is painted in ${unpainted.file.name}. Paint over the object, or remove the photograph.`;
  }

  #wireTools() {
    for (const button of document.querySelectorAll("[data-tool]:not(canvas)")) {
      button.addEventListener("click", () => this.painter.setTool(button.dataset.tool));
    }
    element("brush-size").addEventListener("input", ({ target }) => this.painter.setSize(target.value));
    this.#onClick("undo", () => this.#mask.undo());
    this.#onClick("redo", () => this.#mask.redo());
    this.#onClick("clear", () => this.#mask.clear());
    this.#onClick("fill-in", () => this.#fillIn());
    this.#onClick("zoom-in", () => this.painter.zoom(+1));
    this.#onClick("zoom-out", () => this.painter.zoom(-1));
    this.#onClick("zoom-fit", () => this.painter.fit());
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

  get #mask() {
    return this.shots.active.mask;
  }

  async #attempt(work) {
    notify(this.section);
    const problem = await work().then(() => null, (error) => error);
    this.#update();
    if (problem) notify(this.section, problem.message);
  }

  #key(event) {
    if (!this.shots.active || event.target.matches("input:not([type=range])")) return;
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey ? `ctrl+${event.shiftKey ? "shift+" : ""}${key}` : key;
    const act = {
      b: () => this.painter.setTool("brush"),
      e: () => this.painter.setTool("eraser"),
      h: () => this.painter.setTool("hand"),
      f: () => this.#fillIn(),
      "[": () => this.painter.setSize(this.painter.size / SIZE_STEP),
      "]": () => this.painter.setSize(this.painter.size * SIZE_STEP + 1),
      "+": () => this.painter.zoom(+1),
      "=": () => this.painter.zoom(+1),
      "-": () => this.painter.zoom(-1),
      0: () => this.painter.fit(),
      "ctrl+z": () => this.#mask.undo(),
      "ctrl+shift+z": () => this.#mask.redo(),
      "ctrl+y": () => this.#mask.redo(),
    }[command];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #update() {
    const { active } = this.shots;
    element("shot-drop").hidden = Boolean(active);
    element("editor").hidden = !active;
    this.painter.show(active);
    this.painter.draw();
    if (active) {
      element("undo").disabled = !active.mask.canUndo;
      element("redo").disabled = !active.mask.canRedo;
      const share = active.mask.share();
      element("clear").disabled = share === 0;
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

  #updateTools() {
    for (const button of document.querySelectorAll("[data-tool]:not(canvas)")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.painter.tool));
    }
    element("brush-size").value = this.painter.size;
  }
}
