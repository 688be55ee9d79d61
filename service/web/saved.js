/** Saved objects in step 1: pick one, open it again, export it, import one, save what is painted. */

import { exportUrl, thumbnailUrl } from "./api.js";
import { confirmed } from "./dialogs.js";
import { onChosen } from "./intake.js";
import { Library, photographs } from "./library.js";
import { notify, tell } from "./notices.js";
import { OpenedSet } from "./opened.js";

const element = (id) => document.getElementById(id);

export class SavedObjects {
  /**
   * @param {HTMLElement} section step 1, where what goes wrong is said
   * @param {import("./editor.js").Editor} editor
   */
  constructor(section, editor) {
    Object.assign(this, { section, editor });
    this.opened = new OpenedSet(element("opened"), editor.shots);
    this.library = new Library(element("saved"), () => this.#mayLeave());
    this.#wire();
  }

  /** The saved object that is used as it is, or null. */
  get picked() {
    return this.library.picked;
  }

  /** Read the list of saved objects. */
  async refresh() {
    await this.library.refresh();
    this.#showOpened();
  }

  /** Open the object that is picked, to be changed. */
  openPicked() {
    return this.#attempt(() => this.#open());
  }

  #wire() {
    const { library, opened } = this;
    const onClick = (id, act) => element(id).addEventListener("click", act);
    const onSubmit = (id, act) => element(id).addEventListener("submit", act);
    library.addEventListener("pick", () => this.#showPicked());
    library.addEventListener("delete", ({ detail }) => detail === opened.set?.id && opened.close());
    opened.addEventListener("change", () => this.#showOpened());
    onChosen(element("set-file"), ([file]) => this.#attempt(() => this.#import(file)));
    onClick("using-stop", () => library.pick(null));
    onClick("using-open", () => this.openPicked());
    onClick("opened-close", () => this.#close());
    onSubmit("opened", (event) => this.#saveIfWhole(event, () => this.#saveOpened()));
    onSubmit("save", (event) => this.#saveIfWhole(event, () => this.#saveNew()));
  }

  async #attempt(work) {
    notify(this.section);
    await work().catch((problem) => notify(this.section, problem.message));
  }

  #showPicked() {
    const set = this.picked;
    if (set) this.opened.close();
    element("using").hidden = !set;
    element("painting").hidden = Boolean(set);
    notify(this.section);
    if (!set) return this.editor.painter.fit();
    element("using-picture").src = thumbnailUrl(set);
    element("using-export").href = exportUrl(set.id);
    element("using-name").textContent = set.name;
    element("using-shots").textContent = `Saved object, shown by ${photographs(set.shots)}.`;
  }

  #showOpened() {
    const { set, news } = this.opened;
    element("opened").hidden = !set;
    element("save").hidden = Boolean(set) || !this.library.available;
    element("opened-save").disabled = !news;
    this.library.mark(set);
    if (!set) return;
    element("opened-title").textContent = `Open: ${set.name}`;
    element("opened-news").textContent = news
      ? `Not saved yet: ${news}.`
      : "Repaint, add or remove photographs, or change the name. What is painted is used at once.";
  }

  async #open() {
    const said = await this.opened.open(this.picked);
    this.library.pick(null);
    notify(this.section, said);
    element("opened-name").focus();
  }

  async #saveIfWhole(event, save) {
    event.preventDefault();
    const { lack } = this.editor;
    if (lack) notify(this.section, lack);
    else await this.#attempt(save);
  }

  async #saveNew() {
    const name = element("save-name").value.trim();
    await this.library.save(name, await this.editor.shots.toPairs());
    element("save").reset();
    tell(`${name} is saved.`);
  }

  async #saveOpened() {
    element("opened-save").disabled = true;
    try {
      const set = await this.opened.save();
      await this.library.refresh();
      this.library.pick(set);
      element("using-open").focus();
      tell(`${set.name} is saved.`);
    } finally {
      this.#showOpened();
    }
  }

  async #close() {
    if (!(await this.#mayLeave())) return;
    this.library.pick(this.opened.set);
    element("using-open").focus();
  }

  async #import(file) {
    const set = (await this.#mayLeave()) && (await this.library.import(file));
    if (!set) return;
    this.library.pick(set);
    tell(`${set.name} is imported.`);
  }

  /** Whether nothing unsaved of an open object would be lost, or may be. */
  async #mayLeave() {
    const { set, news } = this.opened;
    return !news || confirmed(`Discard what is not saved of “${set.name}” (${news})?`, "Discard");
  }
}
