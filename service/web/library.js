/** Objects that are saved on the service under a name, to pick again. */

import { createSet, deleteSet, listSets, thumbnailUrl } from "./api.js";

const PAGE = 20;

/** Emits "pick" when `picked` (a SupportSet or null) changes. */
export class Library extends EventTarget {
  /** @param {HTMLElement} root holds the list, hidden while it is empty */
  constructor(root) {
    super();
    this.root = root;
    this.list = root.querySelector("ul");
    this.more = root.querySelector("button");
    this.more.addEventListener("click", () => this.#showMore());
    this.sets = [];
    this.picked = null;
    this.available = false;
  }

  /** Read the list afresh. A service without stored supports leaves the library away. */
  async refresh() {
    const page = await listSets(PAGE, 0).catch(() => null);
    this.available = page !== null;
    this.#take([], page ?? { items: [], total: 0 });
  }

  /** @param {import("./api.js").Pair[]} pairs */
  async save(name, pairs) {
    const set = await createSet(name, pairs);
    await this.refresh();
    return set;
  }

  /** @param {?import("./api.js").SupportSet} set */
  pick(set) {
    this.picked = set;
    this.#render();
    this.dispatchEvent(new Event("pick"));
  }

  async #showMore() {
    this.#take(this.sets, await listSets(PAGE, this.sets.length));
  }

  #take(before, { items, total }) {
    this.sets = [...before, ...items];
    this.more.hidden = this.sets.length >= total;
    this.#render();
  }

  #render() {
    this.root.hidden = !this.sets.length;
    this.list.replaceChildren(...this.sets.map((set) => this.#item(set)));
  }

  #item(set) {
    const template = document.getElementById("picture-template");
    const item = template.content.firstElementChild.cloneNode(true);
    const pick = item.querySelector(".pick");
    item.querySelector("img").src = thumbnailUrl(set.id);
    item.querySelector(".name").textContent = set.name;
    pick.setAttribute("aria-pressed", String(set.id === this.picked?.id));
    pick.addEventListener("click", () => this.pick(set));
    const remove = item.querySelector(".remove");
    remove.hidden = false;
    remove.setAttribute("aria-label", `Delete ${set.name}`);
    remove.addEventListener("click", () => this.#delete(set));
    return item;
  }

  async #delete(set) {
    const question = `Delete “${set.name}” (${photographs(set.shots)})? It cannot be undone.`;
    if (!(await confirmed(question))) return;
    await deleteSet(set.id);
    await this.refresh();
    if (set.id === this.picked?.id) this.pick(null);
  }
}

/** @param {number} count */
export function photographs(count) {
  return count === 1 ? "one photograph" : `${count} photographs`;
}

function confirmed(question) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = question;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}
