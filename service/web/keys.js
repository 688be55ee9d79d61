/** Keys of the whole page; those of a stage are its toolbar's. */

import { isTyping, keyOf } from "./toolbar.js";

const element = (id) => document.getElementById(id);

/**
 * @param {{run: () => void, download: () => void, use: (card: import("./card.js").Card) => void,
 *   save: (card: import("./card.js").Card) => void, object: (place: number) => void,
 *   cards: () => import("./card.js").Card[]}} deeds `object` is called with a place from 0 on,
 *   `cards` in the order that is shown
 */
export function listenToKeys(deeds) {
  const help = element("keys");
  element("keys-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const key = keyOf(event);
    if (isTyping(event) && key !== "ctrl+enter") return;
    const act = ofCard(key, event.target, deeds) ?? ofPage(key, help, deeds);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function ofPage(key, help, { run, download, object, cards }) {
  if (/^[1-9]$/.test(key)) return () => object(key - 1);
  return {
    "?": () => help.showModal(),
    a: () => element(element("shot-drop").hidden ? "shot-add" : "shot-file").click(),
    o: () => element("query-file").click(),
    r: () => cards()[0]?.focus(),
    t: () => element("threshold").focus(),
    d: download,
    "ctrl+enter": run,
  }[key];
}

function ofCard(key, target, { use, save, cards }) {
  const card = target.closest?.(".card")?.card;
  if (!card?.isKnown) return undefined;
  const go = (step) => () => {
    const all = cards();
    all[all.indexOf(card) + step]?.focus();
  };
  return { arrowleft: go(-1), arrowright: go(+1), u: () => use(card), m: () => save(card) }[key];
}
