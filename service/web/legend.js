/** Which colour is which object: in step 3 for all cards, and in the large view to choose from. */

import { wear } from "./colours.js";

/**
 * Fill a list with the objects; leave it away where there is only one.
 * @param {HTMLElement} list
 * @param {{name: string, colour: number[]}[]} objects
 * @param {string} templateId of an entry
 * @returns {HTMLElement[]} the entries
 */
export function showLegend(list, objects, templateId) {
  const template = document.getElementById(templateId);
  list.hidden = objects.length < 2;
  const entries = objects.map(({ name, colour }, place) => {
    const entry = template.content.firstElementChild.cloneNode(true);
    wear(entry.querySelector(".swatch"), colour);
    entry.querySelector(".swatch").textContent = place + 1;
    entry.querySelector(".name").textContent = name;
    return entry;
  });
  list.replaceChildren(...(list.hidden ? [] : entries));
  return entries;
}
