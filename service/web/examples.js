/** The photographs that come with the page, for a first try. */

import { address } from "./api.js";

const EXAMPLES = [
  { name: "astronaut", title: "Astronaut" },
  { name: "grace_hopper", title: "Officer" },
  { name: "photographer", title: "Cameraman" },
];

/**
 * Fill every list of examples of this kind with buttons.
 * @param {string} kind value of data-examples
 * @param {(photograph: File, mask: File) => void} take
 */
export function offerExamples(kind, take) {
  const template = document.getElementById("picture-template");
  for (const { name, title } of EXAMPLES) {
    const item = template.content.cloneNode(true);
    item.querySelector("img").src = address(`web/examples/${name}.jpg`);
    item.querySelector(".name").textContent = title;
    item.querySelector(".pick").addEventListener("click", async () => {
      take(await load(`${name}.jpg`), await load(`${name}.mask.png`));
    });
    document.querySelector(`[data-examples="${kind}"]`).append(item);
  }
}

async function load(name) {
  const response = await fetch(address(`web/examples/${name}`));
  return new File([await response.blob()], name, { type: response.headers.get("Content-Type") });
}
