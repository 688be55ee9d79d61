/** Many cards, a few dozen on a sheet each: the browser skips whole sheets that are far from the window. */

const ROOM = 48; // cards of a sheet; its last row may be short
const SKIPPED = "contentvisibilityautostatechange";

export class Sheets {
  /**
   * @param {HTMLElement} root where the sheets go, each a list under the root's label
   * @param {IntersectionObserver} observer is told of the cards on sheets that are not skipped
   */
  constructor(root, observer) {
    Object.assign(this, { root, observer });
  }

  /** The cards in the order that is shown. */
  get cards() {
    return [...this.root.children].flatMap((sheet) => [...sheet.children].map(({ card }) => card));
  }

  /** Have these cards, in their order; those that are where they belong stay as they are. */
  place(cards) {
    const count = Math.ceil(cards.length / ROOM);
    while (this.root.children.length < count) this.root.append(this.#sheet());
    [...this.root.children].forEach((sheet, number) => {
      fill(sheet, cards.slice(number * ROOM, (number + 1) * ROOM));
      if (!sheet.isSkipped) this.#observe(sheet);
    });
    while (this.root.children.length > count) this.root.lastElementChild.remove();
  }

  #sheet() {
    const sheet = document.createElement("ul");
    sheet.className = "cards";
    sheet.setAttribute("aria-label", this.root.dataset.label);
    sheet.isSkipped = `on${SKIPPED}` in sheet; // until the browser says otherwise, if it ever does
    sheet.addEventListener(SKIPPED, ({ skipped }) => {
      sheet.isSkipped = skipped;
      this.#observe(sheet);
    });
    return sheet;
  }

  #observe(sheet) {
    for (const root of sheet.children) {
      if (!sheet.isSkipped) this.observer.observe(root);
      else {
        this.observer.unobserve(root);
        root.card.see(false);
      }
    }
  }
}

function fill(sheet, cards) {
  const wanted = new Set(cards.map((card) => card.root));
  let at = sheet.firstElementChild;
  for (const root of wanted) {
    while (at && !wanted.has(at)) at = at.nextElementSibling;
    if (root === at) at = at.nextElementSibling;
    else sheet.insertBefore(root, at);
  }
}
