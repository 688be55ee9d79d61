/** In a large result without a mask: what would be marked if the object were there, faintly. */

import { MaskLayer } from "./mask.js";

const element = (id) => document.getElementById(id);

export class Proposal {
  /** @param {() => import("./shots.js").Shot} shot which is on the stage */
  constructor(shot) {
    Object.assign(this, { shot, mask: null });
  }

  /** Look for one where the card's mask is empty. */
  async look(card, mask) {
    const shot = this.shot();
    this.mask = null;
    this.update();
    if (mask.classes.some(Boolean) || card.finding.correction) return;
    const proposed = await card.finding.proposal();
    if (shot !== this.shot() || !proposed.classes.some(Boolean)) return;
    this.mask = proposed;
    const layer = new MaskLayer(shot.bitmap.width, shot.bitmap.height, shot.mask.colours);
    layer.load(proposed);
    shot.proposal = layer.canvas;
    element("proposal-text").textContent = card.finding.absent
      ? "Probably not here. What is faint would be marked if it were."
      : "Nothing is above the threshold. What is faint comes next below it.";
    this.update();
  }

  /** Have it as the mask; undo brings the empty one back. */
  take() {
    this.shot().mask.load(this.mask);
  }

  /** Show it while nothing is painted. */
  update() {
    const shot = this.shot();
    const isOffered = this.mask !== null && shot.mask.share() === 0;
    element("proposal").hidden = !isOffered;
    shot.isProposed = isOffered;
  }
}
