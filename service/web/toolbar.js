/** The tools of a stage: buttons, a slider and keys that work on what its painter shows. */

const SIZE_STEP = 1.2;

export class Toolbar {
  /**
   * @param {HTMLElement} root holds buttons with data-tool or data-act, and the size's slider
   * @param {import("./painter.js").Painter} painter
   */
  constructor(root, painter) {
    Object.assign(this, { root, painter });
    this.acts = {
      undo: () => this.#mask.undo(),
      redo: () => this.#mask.redo(),
      clear: () => this.#mask.clear(),
      "zoom-in": () => painter.zoom(+1),
      "zoom-out": () => painter.zoom(-1),
      "zoom-fit": () => painter.fit(),
    };
    for (const button of root.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => painter.setTool(button.dataset.tool));
    }
    for (const [name, act] of Object.entries(this.acts)) this.#part(name).addEventListener("click", act);
    this.#part("size").addEventListener("input", ({ target }) => painter.setSize(target.value));
    painter.addEventListener("toolchange", () => this.#showTool());
    this.#showTool();
  }

  /** The same tools for another stage. */
  static copy(toolbar, root, painter) {
    root.append(...toolbar.root.cloneNode(true).children);
    for (const part of root.querySelectorAll("[id]")) part.removeAttribute("id");
    return new Toolbar(root, painter);
  }

  /** Enable what can be done now. */
  update() {
    this.#part("undo").disabled = !this.#mask.canUndo;
    this.#part("redo").disabled = !this.#mask.canRedo;
    this.#part("clear").disabled = this.#mask.share() === 0;
  }

  /**
   * Do what the key says.
   * @param {KeyboardEvent} event
   * @param {Object<string, () => void>} more keys of this stage alone
   */
  key(event, more = {}) {
    if (!this.painter.shot || isTyping(event)) return;
    const { acts, painter } = this;
    const act = {
      ...more,
      b: () => painter.setTool("brush"),
      e: () => painter.setTool("eraser"),
      h: () => painter.setTool("hand"),
      "[": () => painter.setSize(painter.size / SIZE_STEP),
      "]": () => painter.setSize(painter.size * SIZE_STEP + 1),
      "+": acts["zoom-in"],
      "=": acts["zoom-in"],
      "-": acts["zoom-out"],
      0: acts["zoom-fit"],
      "ctrl+z": acts.undo,
      "ctrl+shift+z": acts.redo,
      "ctrl+y": acts.redo,
    }[keyOf(event)];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #part(name) {
    return this.root.querySelector(`[data-act="${name}"]`);
  }

  get #mask() {
    return this.painter.shot.mask;
  }

  #showTool() {
    for (const button of this.root.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.painter.tool));
    }
    this.#part("size").value = this.painter.size;
  }
}

/** Whether the key belongs to a field that text is written in. */
export function isTyping({ target }) {
  return target.matches?.("input:not([type=range], [type=checkbox]), select, textarea") ?? false;
}

/** As keys are named here: lower case, "ctrl+" for the command key of every system. */
export function keyOf(event) {
  const key = event.key.toLowerCase();
  return event.ctrlKey || event.metaKey ? `ctrl+${event.shiftKey ? "shift+" : ""}${key}` : key;
}
