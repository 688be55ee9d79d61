/** What was painted on large results that are closed, with its history, so that undo goes on. */

const MOST = 3; // each holds its pixels, and those of every stroke

export class Remembered {
  constructor() {
    this.masks = new Map();
  }

  /** Keep what is painted on a card; `first` is its correction from before. */
  keep(card, mask, first) {
    this.masks.delete(card);
    if (!mask.canUndo && !mask.canRedo) return;
    this.masks.set(card, { mask, first, look: lookOf(card) });
    if (this.masks.size > MOST) this.masks.delete(this.masks.keys().next().value);
  }

  /** @returns {?{mask: import("./mask.js").MaskLayer, first: ?Object}} null where the card shows another mask by now */
  of(card) {
    const kept = this.masks.get(card);
    return kept?.look === lookOf(card) ? kept : null;
  }
}

/** Names the mask that a card shows, and the objects in it. */
function lookOf({ finding, list }) {
  const { threshold, objects } = list.view;
  const colours = objects.map(({ id, colour }) => `${id} ${colour}`);
  return `${finding.key} ${finding.correction ? "" : threshold} ${colours}`;
}
