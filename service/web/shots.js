/** The photographs that show the object, each with what is painted on it. */

import { completeMask, readMask } from "./api.js";
import { cellsOf, contrasting } from "./colours.js";
import { newId } from "./identity.js";
import { MaskLayer } from "./mask.js";
import { decodeMask, decodePhotograph, drawThumbnail, stemOf } from "./pictures.js";

const WORKING_SIDE = 2048;
const REDRAW_MS = 200;

/**
 * One photograph and its mask; `width` and `height` are the photograph's own, upright. `reading` is
 * of the mask file that was given last: the file, the format by which it was read ("auto" while it
 * is to be chosen) and the object's share of it.
 */
export class Shot {
  constructor(file, { bitmap, width, height }, colours) {
    Object.assign(this, { id: newId(), file, bitmap, width, height });
    this.mask = new MaskLayer(bitmap.width, bitmap.height, colours ?? [contrasting(cellsOf(bitmap))]);
    Object.assign(this, { reading: null, label: "" });
  }

  /**
   * @param {File} file
   * @param {?number[][]} colours of the objects in it; null for one that stands out on the photograph
   * @returns {Promise<Shot>} Rejects with a sentence where the browser cannot show the file.
   */
  static async open(file, colours = null) {
    try {
      return new Shot(file, await decodePhotograph(file, WORKING_SIDE), colours);
    } catch {
      throw new Error(`${file.name} cannot be shown by this browser. Choose a JPEG, PNG, WebP or BMP.`);
    }
  }

  /** Have the object's colour, or, for null, one that stands out on the photograph. */
  recolour(colour) {
    this.mask.recolour([colour ?? contrasting(cellsOf(this.bitmap))]);
  }

  /** Beside other objects it has the object's name in it: a photograph may show several of them. */
  get maskName() {
    const object = this.label ? `.${this.label.replace(/[\\/:*?"<>|]/g, "_")}` : "";
    return `${stemOf(this.file.name)}${object}.mask.png`;
  }

  /**
   * Take a mask file's object as painted. Rejects with a sentence where it does not fit, or where it
   * is to be chosen what is object in it.
   */
  async loadMask(file, format = "auto") {
    const { png, ...reading } = await readMask(file, format).catch((problem) => {
      if (problem.code === "ambiguous_mask") this.reading = { file, format: "auto" };
      throw new Error(aboutFile(problem.message, file));
    });
    const mask = await decodeMask(png);
    if (mask.width !== this.width || mask.height !== this.height) {
      throw new Error(
        `${file.name} is ${mask.width}x${mask.height}, its photograph is ${this.width}x${this.height}. ` +
          "Choose a mask of the photograph's size.",
      );
    }
    if (!mask.classes.includes(1)) throw new Error(`${file.name} has no object in it. Choose another mask.`);
    this.reading = { file, ...reading };
    this.mask.load(mask);
  }

  /**
   * Take for painted what the service makes of what is roughly painted; undo brings that back.
   * Rejects with a sentence where nothing is found.
   */
  async fillIn() {
    const png = await completeMask(await this.toPair()).catch((problem) => {
      throw new Error(inPagesWords(problem.message, this.file));
    });
    const mask = await decodeMask(png);
    if (!mask.classes.includes(1)) {
      throw new Error(`Nothing more is found in ${this.file.name}. Paint more of the object, then fill in again.`);
    }
    this.mask.load(mask);
  }

  /** @returns {Promise<import("./api.js").Pair>} */
  async toPair() {
    const mask = await this.mask.toPng(this.width, this.height);
    return { image: this.file, mask, maskName: this.maskName };
  }
}

/** The shots in order, one of them on the stage. Emits "change" after anything about them changes. */
export class ShotList extends EventTarget {
  /** @param {HTMLElement} list where the thumbnails go */
  constructor(list) {
    super();
    this.list = list;
    this.shots = [];
    this.active = null;
    this.known = new WeakSet();
  }

  add(shot) {
    this.shots.push(shot);
    this.#follow(shot);
    this.activate(shot);
  }

  remove(shot) {
    const at = this.shots.indexOf(shot);
    this.shots.splice(at, 1);
    this.activate(this.shots[Math.min(at, this.shots.length - 1)] ?? null);
    shot.bitmap.close();
  }

  /** Put other shots in the place of these, which are returned. */
  exchange(shots, active = shots[0]) {
    const before = this.shots;
    this.shots = shots;
    for (const shot of shots) this.#follow(shot);
    this.activate(active ?? null);
    return before;
  }

  activate(shot) {
    this.active = shot;
    this.#render();
    this.dispatchEvent(new Event("change"));
  }

  get files() {
    return this.shots.map((shot) => shot.file);
  }

  /** The shot of this file, if there is one. */
  of(file) {
    return this.shots.find((shot) => shot.file === file);
  }

  /** @returns {Promise<import("./api.js").Pair[]>} */
  async toPairs() {
    const pairs = [];
    for (const shot of this.shots) pairs.push(await shot.toPair());
    return pairs;
  }

  #follow(shot) {
    if (this.known.has(shot)) return;
    this.known.add(shot);
    shot.mask.addEventListener("change", () => this.#painted(shot));
  }

  #painted(shot) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#drawThumbnail(shot), REDRAW_MS);
    this.dispatchEvent(new Event("change"));
  }

  #render() {
    const template = document.getElementById("thumbnail-template");
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(
      ...this.shots.map((shot, index) => {
        const item = template.content.firstElementChild.cloneNode(true);
        const pick = item.querySelector(".pick");
        item.querySelector(".remove").remove();
        item.querySelector(".name").textContent = shot.file.name;
        pick.setAttribute("aria-label", `Photograph ${index + 1}: ${shot.file.name}`);
        pick.setAttribute("aria-pressed", String(shot === this.active));
        pick.addEventListener("click", () => this.activate(shot));
        return item;
      }),
    );
    this.shots.forEach((shot) => this.#drawThumbnail(shot));
    if (focused) this.list.querySelector('[aria-pressed="true"]')?.focus();
  }

  #drawThumbnail(shot) {
    const canvas = this.list.querySelectorAll("canvas")[this.shots.indexOf(shot)];
    if (!canvas) return;
    drawThumbnail(canvas, shot.bitmap);
    const context = canvas.getContext("2d");
    context.globalAlpha = 0.6;
    drawThumbnail(canvas, shot.mask.canvas);
    context.globalAlpha = 1;
  }
}

/** The service names the parts of a pair; people know their files. */
function inPagesWords(message, file) {
  return message
    .replace(/\bsupport_image\b/gi, () => file.name)
    .replace(/\b(?:support_)?mask\b/gi, (part, at) => `${at ? "w" : "W"}hat is painted in ${file.name}`);
}

/** The service names the part; people know their files, and choose by a list. */
function aboutFile(message, file) {
  return message
    .replace(/^(mask_format is '\w+', but )?mask\b/i, () => file.name)
    .replace(/; send mask_format=.*$/, ". Choose below what is object in it.");
}
