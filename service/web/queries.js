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
    this.observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.#see(entry)));
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
    this.observer.observe(item);
    return item;
  }

  #remove(file, item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    this.files.splice(this.files.indexOf(file), 1);
    item.remove();
    next?.querySelector(".remove").focus();
    this.#changed();
  }

  /** Decoded once, and not before it is in sight: of hundreds, few are. */
  #see({ target, isIntersecting }) {
    if (!isIntersecting) return;
    this.observer.unobserve(target);
    this.#draw(target);
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
