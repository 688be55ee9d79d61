/** The photographs to find the object in. */

import { admitted } from "./admission.js";
import { photographs } from "./library.js";
import { decodePhotograph, drawThumbnail } from "./pictures.js";

const THUMBNAIL_SIDE = 256;

/** Emits "change". `files` is in the order of the list. */
export class QueryList extends EventTarget {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} head holds their count and what removes all
   */
  constructor(list, head) {
    super();
    Object.assign(this, { list, head, files: [] });
    list.addEventListener("scroll", () => this.#drawInSight(), { passive: true });
    new ResizeObserver(() => this.#drawInSight()).observe(list);
  }

  /**
   * Add what is new among these files and may be a photograph.
   * @returns {Promise<string>} what is to be said of the rest
   */
  async take(files) {
    const { taken, said } = await admitted(files, this.files);
    if (taken.length) this.add(taken);
    return said;
  }

  add(files) {
    this.files.push(...files);
    this.list.append(...files.map((file) => this.#item(file)));
    this.#changed();
  }

  clear() {
    this.files = [];
    this.list.replaceChildren();
    this.#changed();
  }

  #changed() {
    this.head.hidden = this.files.length < 2;
    this.head.querySelector("p").textContent = photographs(this.files.length);
    this.#drawInSight();
    this.dispatchEvent(new Event("change"));
  }

  #item(file) {
    const template = document.getElementById("query-template");
    const item = template.content.firstElementChild.cloneNode(true);
    item.file = file;
    item.querySelector(".name").textContent = file.name;
    const remove = item.querySelector(".remove");
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => this.#remove(file, item));
    return item;
  }

  #remove(file, item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    this.files.splice(this.files.indexOf(file), 1);
    item.remove();
    next?.querySelector(".remove").focus();
    this.#changed();
  }

  /** Decode what is in sight and was not yet: of hundreds, few are. */
  #drawInSight() {
    const { top, bottom } = this.list.getBoundingClientRect();
    for (const item of this.list.children) {
      if (item.isDrawn) continue;
      const place = item.getBoundingClientRect();
      if (place.bottom < top || place.top > bottom) continue;
      item.isDrawn = true;
      this.#draw(item);
    }
  }

  /** A file that the browser cannot show says so: the service may still read it. */
  async #draw(item) {
    const photograph = await decodePhotograph(item.file, THUMBNAIL_SIDE).catch(() => null);
    item.querySelector(".unseen").hidden = photograph !== null;
    if (!photograph) return;
    drawThumbnail(item.querySelector("canvas"), photograph.bitmap);
    photograph.bitmap.close();
  }
}
