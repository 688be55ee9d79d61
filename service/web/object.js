/** What is looked for: a saved object, or what is painted in step 1. */

const fusion = document.getElementById("fusion");

/** Emits "change" when it is another object, or is shown otherwise. */
export class ShownObject extends EventTarget {
  /**
   * @param {import("./saved.js").SavedObjects} saved
   * @param {import("./editor.js").Editor} editor
   */
  constructor(saved, editor) {
    super();
    Object.assign(this, { saved, editor });
    const tell = () => this.dispatchEvent(new Event("change"));
    saved.library.addEventListener("pick", tell);
    editor.addEventListener("change", tell);
    fusion.addEventListener("change", tell);
  }

  /** Names the object as it is shown now: another after every change, the same again after undo. */
  get mark() {
    const { picked } = this.saved;
    if (picked) return `set ${picked.id} ${picked.pairs.map(({ id, created }) => id + created)}`;
    const { shots } = this.editor.shots;
    return `shots ${shots.map(({ id, mask }) => `${id} ${mask.state}`)}${shots.length > 1 ? fusion.value : ""}`;
  }

  /** What is missing before it can be looked for, as a sentence; empty when nothing is. */
  get lack() {
    return this.saved.picked ? "" : this.editor.lack;
  }

  /** @returns {Promise<import("./api.js").Source>} */
  async source() {
    if (this.saved.picked) return { set: this.saved.picked };
    return { pairs: await this.editor.shots.toPairs(), fusion: fusion.value };
  }
}
