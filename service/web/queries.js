/** The photographs to find the object in. */

import { decodePhotograph, drawThumbnail } from "./pictures.js";

const THUMBNAIL_SIDE = 256;

/** Emits "change". `files` is in the order of the list. */
export class QueryList extends EventTarget {
  constructor(list) {
    super();
    this.list = list;
    this.files = [];
  }

  add(files) {
    for (const file of files) {
      this.files.push(file);
      this.list.append(this.#item(file));
    }
    this.dispatchEvent(new Event("change"));
  }

  #item(file) {
    const template = document.getElementById("query-template");
    const item = template.content.firstElementChild.cloneNode(true);
    item.querySelector(".name").textContent = file.name;
    const remove = item.querySelector(".remove");
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => this.#remove(file, item));
    this.#draw(item.querySelector("canvas"), file);
    return item;
  }

  #remove(file, item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    this.files.splice(this.files.indexOf(file), 1);
    item.remove();
    next?.querySelector(".remove").focus();
    this.dispatchEvent(new Event("change"));
  }

  /** A file that the browser cannot show keeps its grey square: the service may still read it. */
  async #draw(canvas, file) {
    const photograph = await decodePhotograph(file, THUMBNAIL_SIDE).catch(() => null);
    if (!photograph) return;
    drawThumbnail(canvas, photograph.bitmap);
    photograph.bitmap.close();
  }
}
