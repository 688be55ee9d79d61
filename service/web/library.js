/** Objects that are saved on the service under a name, to pick again. */

import { createSet, deleteSet, importSet, listSets, thumbnailUrl } from "./api.js";
import { askedName, confirmed } from "./dialogs.js";
import { stemOf } from "./pictures.js";

const PAGE = 20;

/** Emits "pick" when `picked` (a SupportSet or null) changes. */
export class Library extends EventTarget {
  /**
   * @param {HTMLElement} root holds the list
   * @param {() => Promise<boolean>} mayLeave asked before another set is picked
   */
  constructor(root, mayLeave) {
    super();
    Object.assign(this, { root, mayLeave });
    this.list = root.querySelector("ul");
    this.none = root.querySelector("#saved-none");
    this.more = root.querySelector("#saved-more");
    this.more.addEventListener("click", () => this.#showMore());
    this.sets = [];
    this.picked = null;
    this.marked = "";
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

  /**
   * Store an exported set; where its name is taken, ask for another.
   * @param {File} file
   * @returns {Promise<?import("./api.js").SupportSet>} null where no name is given
   */
  async import(file) {
    let name = "";
    for (;;) {
      try {
        const set = await importSet(file, name);
        await this.refresh();
        return set;
      } catch (problem) {
        if (problem.code !== "name_taken") throw problem;
        const question = "There is a saved object of this name already. Give this one another.";
        name = await askedName(question, name || proposed(file));
        if (!name) return null;
      }
    }
  }

  /** @param {?import("./api.js").SupportSet} set */
  pick(set) {
    this.picked = set;
    this.#render();
    this.dispatchEvent(new Event("pick"));
  }

  /** Show which set is open elsewhere. */
  mark(set) {
    const id = set?.id ?? "";
    if (id === this.marked) return;
    this.marked = id;
    this.#render();
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
    this.root.hidden = !this.available;
    this.none.hidden = this.sets.length > 0;
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(...this.sets.map((set) => this.#item(set)));
    if (focused) this.list.querySelector('[aria-pressed="true"]')?.focus();
  }

  #item(set) {
    const template = document.getElementById("picture-template");
    const item = template.content.firstElementChild.cloneNode(true);
    const pick = item.querySelector(".pick");
    item.querySelector("img").src = thumbnailUrl(set);
    item.querySelector(".name").textContent = set.name;
    pick.setAttribute("aria-pressed", String([this.picked?.id, this.marked].includes(set.id)));
    pick.addEventListener("click", async () => {
      if (await this.mayLeave()) this.pick(set);
    });
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
    this.dispatchEvent(new CustomEvent("delete", { detail: set.id }));
  }
}

function proposed(file) {
  return `${stemOf(file.name).replace(/^sgone-/, "").replaceAll("_", " ")} 2`;
}

/** @param {number} count */
export function photographs(count) {
  return count === 1 ? "one photograph" : `${count} photographs`;
}
