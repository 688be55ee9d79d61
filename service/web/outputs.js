/** What is downloaded: one result's mask, cut-out or JSON, or all results as files of some formats. */

import { segment, writeAnnotations } from "./api.js";
import { hex, hexadecimal, vocColour } from "./colours.js";
import { cutOut } from "./cutout.js";
import { download } from "./intake.js";
import { notify } from "./notices.js";
import { stemOf } from "./pictures.js";
import { encodeGreyPng, encodeIndexedPng } from "./png.js";

const BLACK = [0, 0, 0];
const SUFFIXES = { mask: "mask.png", cutout: "cutout.png", json: "json" };
const SHOWING = ["overlays", "cutouts"]; // formats that show the photograph

/**
 * Download a card's mask, cut-out or JSON, at the thresholds that are shown. What the service would
 * not make the same, of a correction or of several objects, the page makes.
 */
export async function saveOutput(card, output) {
  notify(card.root);
  try {
    const isByService = card.list.view.objects.length === 1 && !card.finding.correction;
    const blob = await (isByService ? ofService(card, output) : ofPage(card, output));
    download(blob, `${stemOf(card.query.name)}.${SUFFIXES[output]}`);
    card.noteSaved();
  } catch (problem) {
    notify(card.root, problem.message);
  }
}

/** Download the mask that a card shows, without asking the service. */
export async function saveByPage(card) {
  download(await ofPage(card, "mask"), `${stemOf(card.query.name)}.${SUFFIXES.mask}`);
  card.noteSaved();
}

/**
 * All results' masks as a ZIP archive of files of these formats.
 * @param {import("./card.js").Card[]} cards
 * @param {{formats: string[], labels: string[], instances: boolean}} options labels of several objects,
 *   or of one
 * @param {(done: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} Rejects with a sentence.
 */
export async function archiveOf(cards, { formats, labels, instances }, onProgress, signal) {
  const showsImage = SHOWING.some((format) => formats.includes(format));
  const names = distinct(cards.map((card) => card.query.name));
  const drawn = [];
  for (const [index, card] of cards.entries()) {
    signal.throwIfAborted();
    onProgress(index);
    drawn.push({ name: names[index], mask: await sentMask(card), image: showsImage ? card.query : null });
  }
  onProgress(cards.length);
  const options = { format: formats.join(","), instances };
  const reply = await writeAnnotations(drawn, labels, options, "application/zip", signal);
  return reply.blob().catch((problem) => {
    if (signal.aborted) throw problem;
    throw new Error("The service broke off before the archive was whole. Try again.");
  });
}

async function ofPage(card, output) {
  const { objects } = card.list.view;
  if (output === "mask" && objects.length > 1) return indexedMask(await card.finding.mask(), objects);
  if (output === "mask") return sentMask(card);
  if (output === "cutout") return cutOut(card.query, await card.finding.mask());
  const drawn = [{ name: card.query.name, mask: await sentMask(card), image: null }];
  const labels = objects.length > 1 ? objects.map(({ name }) => name) : ["object"];
  return (await writeAnnotations(drawn, labels, { format: "coco" }, "application/json")).blob();
}

async function ofService(card, output) {
  const { objects } = card.list.view;
  const { source } = card.finding.resultOf(objects[0]);
  return (await segment(source, card.query, { output, ...card.list.options })).blob();
}

/** As the service draws several classes: in the colours of PASCAL VOC, with a legend. */
function indexedMask({ width, height, classes }, objects) {
  const palette = [BLACK, ...objects.map((_, place) => vocColour(place + 1))];
  const entries = objects.map(({ name }, place) => {
    return { index: place + 1, label: name, colour: hexadecimal(palette[place + 1]) };
  });
  const escape = (character) => `\\u${hex(character.charCodeAt(0), 4)}`;
  const legend = JSON.stringify(entries).replace(/[^\0-\x7f]/g, escape);
  const fill = (y, row) => row.set(classes.subarray(y * width, (y + 1) * width));
  return encodeIndexedPng(width, height, fill, { palette, legend });
}

/** As `/annotations` takes it: white on black, or the number of each pixel's object. */
async function sentMask(card) {
  const { width, height, classes } = await card.finding.mask();
  const white = card.list.view.objects.length > 1 ? 1 : 255;
  return encodeGreyPng(width, height, (y, row) => {
    for (let x = 0; x < width; x++) row[x] = white * classes[y * width + x];
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
