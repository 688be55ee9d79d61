/** The objects side by side, above step 1: which one it shows, its name, another one. */

import { wear } from "./colours.js";
import { confirmed } from "./dialogs.js";
import { photographs } from "./library.js";

const element = (id) => document.getElementById(id);

export class ObjectBar {
  /** @param {import("./objects.js").ObjectList} objects */
  constructor(objects) {
    Object.assign(this, { objects, list: element("object-list"), field: element("object-name"), told: "" });
    element("object-add").addEventListener("click", () => this.#add());
    element("object-remove").addEventListener("click", () => this.#remove());
    element("object-form").addEventListener("submit", (event) => event.preventDefault());
    this.field.addEventListener("input", () => objects.rename(objects.active, this.field.value.trim()));
    objects.addEventListener("change", () => this.#show());
    this.#show();
  }

  #add() {
    this.objects.add();
    this.field.focus();
  }

  async #remove() {
    const { active } = this.objects;
    const { set, shots } = this.objects.stateOf(active);
    const shown = set ? "" : `, with what is painted in ${photographs(shots.length)}`;
    const question = `Remove “${this.objects.nameOf(active)}”${shown} and its masks?`;
    if (shots.length && !set && !(await confirmed(question, "Remove"))) return;
    this.objects.remove(active);
    (this.list.querySelector('[aria-pressed="true"]') ?? element("object-add")).focus();
  }

  #show() {
    const { objects } = this.objects;
    const { active, areSeveral, hasRoom } = this.objects;
    element("objects").hidden = !areSeveral;
    element("object-add").hidden = !hasRoom || (!areSeveral && Boolean(this.objects.lackOf(active)));
    const names = objects.map((object) => this.objects.nameOf(object));
    const told = JSON.stringify([names, objects.indexOf(active)]);
    if (told === this.told) return;
    this.told = told;
    this.#showTabs(names);
    this.field.placeholder = names[objects.indexOf(active)];
    if (areSeveral) element("save-name").value = active.name;
    if (document.activeElement !== this.field || this.shown !== active) {
      this.field.value = this.objects.givenName(active);
    }
    this.shown = active;
  }

  #showTabs(names) {
    const template = element("object-template");
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(
      ...this.objects.objects.map((object, place) => {
        const item = template.content.firstElementChild.cloneNode(true);
        const pick = item.querySelector("button");
        wear(item.querySelector(".swatch"), object.colour);
        item.querySelector(".swatch").textContent = place + 1;
        item.querySelector(".name").textContent = names[place];
        pick.setAttribute("aria-pressed", String(object === this.objects.active));
        pick.title = `${names[place]} (${place + 1})`;
        pick.addEventListener("click", () => this.objects.activate(object));
        return item;
      }),
    );
    if (focused) this.list.querySelector('[aria-pressed="true"]')?.focus();
  }
}
