/** What is downloaded: one result's mask, cut-out or JSON, or all results as files of some formats. */

import { segment, writeAnnotations } from "./api.js";
import { cutOut } from "./cutout.js";
import { download } from "./intake.js";
import { notify } from "./notices.js";
import { stemOf } from "./pictures.js";
import { encodeGreyPng } from "./png.js";

const SUFFIXES = { mask: "mask.png", cutout: "cutout.png", json: "json" };
const SHOWING = ["overlays", "cutouts"]; // formats that show the photograph

/** Download a card's mask, cut-out or JSON, at the thresholds that are shown. */
export async function saveOutput(card, output) {
  notify(card.root);
  try {
    const blob = await (card.correction ? ofCorrection(card, output) : ofService(card, output));
    download(blob, `${stemOf(card.query.name)}.${SUFFIXES[output]}`);
    card.noteSaved();
  } catch (problem) {
    notify(card.root, problem.message);
  }
}

/**
 * All results' masks as a ZIP archive of files of these formats.
 * @param {import("./card.js").Card[]} cards
 * @param {{formats: string[], label: string, instances: boolean}} options
 * @param {(done: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} Rejects with a sentence.
 */
export async function archiveOf(cards, { formats, ...options }, onProgress, signal) {
  const showsImage = SHOWING.some((format) => formats.includes(format));
  const names = distinct(cards.map((card) => card.query.name));
  const drawn = [];
  for (const [index, card] of cards.entries()) {
    signal.throwIfAborted();
    onProgress(index);
    drawn.push({ name: names[index], mask: await maskOf(card), image: showsImage ? card.query : null });
  }
  onProgress(cards.length);
  const reply = await writeAnnotations(drawn, { format: formats.join(","), ...options }, "application/zip", signal);
  return reply.blob().catch((problem) => {
    if (signal.aborted) throw problem;
    throw new Error("The service broke off before the archive was whole. Try again.");
  });
}

/** The service knows nothing of a correction; it writes its JSON, and the page cuts out. */
async function ofCorrection(card, output) {
  if (output === "mask") return card.correction.png;
  if (output === "cutout") return cutOut(card.query, await card.mask());
  const drawn = [{ name: card.query.name, mask: card.correction.png, image: null }];
  return (await writeAnnotations(drawn, { format: "coco" }, "application/json")).blob();
}

async function ofService(card, output) {
  return (await segment(card.result.source, card.query, { output, ...card.list.options })).blob();
}

async function maskOf(card) {
  if (card.correction) return card.correction.png;
  const { width, height, object } = await card.mask();
  return encodeGreyPng(width, height, (y, row) => {
    for (let x = 0; x < width; x++) row[x] = 255 * object[y * width + x];
  });
}

/** The names, those that differ in no more than the suffix made different by a number. */
function distinct(names) {
  const taken = new Set();
  return names.map((name) => {
    const stem = stemOf(name);
    let free = stem;
    for (let number = 2; taken.has(free); number++) free = `${stem} ${number}`;
    taken.add(free);
    return free + name.slice(stem.length);
  });
}
