/** The page: three steps wired together. */

import { address, info, segment } from "./api.js";
import { Editor } from "./editor.js";
import { offerExamples } from "./examples.js";
import { download, ignoreStrayDrops, onChosen, onDropped, onPasted } from "./intake.js";
import { photographs } from "./library.js";
import { announce, notify } from "./notices.js";
import { stemOf } from "./pictures.js";
import { QueryList } from "./queries.js";
import { ResultList } from "./results.js";
import { segmentAll } from "./run.js";
import { SavedObjects } from "./saved.js";
import { copyText, curlSnippet, pythonSnippet } from "./snippets.js";

const SUFFIXES = { mask: "mask.png", cutout: "cutout.png", json: "json" };
const SNIPPETS = { curl: curlSnippet, python: pythonSnippet };

const element = (id) => document.getElementById(id);
const [show, give] = [element("show"), element("give")];
const editor = new Editor(show);
const saved = new SavedObjects(show, editor);
const queries = new QueryList(element("query-list"));
const results = new ResultList(element("card-list"), { onOutput: saveOutput, onAgain: tryAgain });
let running = null; // AbortController of the run in progress
let language = "curl";

/** @returns {Promise<import("./api.js").Source>} */
async function chosenObject() {
  if (saved.picked) return { set: saved.picked };
  return { pairs: await editor.shots.toPairs(), fusion: element("fusion").value };
}

/** Say in each step what is missing; true where nothing is. */
function isComplete() {
  const objectLack = saved.picked ? "" : editor.lack;
  const queryLack = queries.files.length ? "" : "Choose at least one photograph to find the object in.";
  notify(show, objectLack);
  notify(give, queryLack);
  if (objectLack) show.scrollIntoView();
  return !objectLack && !queryLack;
}

async function run() {
  if (!isComplete()) return;
  const files = [...queries.files];
  await underProgress(files.length, async () => {
    results.reset(files, await chosenObject());
    element("results").hidden = false;
    element("no-results").hidden = true;
    writeSnippet();
    element("get").scrollIntoView();
    return results.cards;
  });
}

function tryAgain(card) {
  return underProgress(1, () => [card]);
}

/** Segment the cards that `prepare` gives; one run at a time, from before its masks are encoded. */
async function underProgress(total, prepare) {
  if (running) return;
  running = new AbortController();
  setRunning(true);
  showProgress(0, total);
  try {
    await segmentAll(await prepare(), running.signal, (done) => showProgress(done, total));
  } catch (problem) {
    notify(show, problem.message);
    show.scrollIntoView();
  } finally {
    setRunning(false);
    running = null;
  }
}

function setRunning(on) {
  element("run").hidden = on;
  element("progress").hidden = !on;
  if (on) return;
  results.arrange();
  countAbsent();
  announce(`${results.cards.filter((card) => card.map).length} of ${results.cards.length} done.`);
}

/** Say in how many photographs the object probably is not; nothing where it is in all. */
function countAbsent() {
  const count = results.cards.filter((card) => card.absent).length;
  element("absent-count").hidden = !count;
  element("absent-count").textContent = `Probably not in ${count} of ${photographs(results.cards.length)}.`;
}

/** The options that make the service's mask the one that is shown. */
function shownOptions() {
  const { threshold, knowsPresence, presence } = results.view;
  return knowsPresence ? { threshold, presence_threshold: presence } : { threshold };
}

function showProgress(done, total) {
  Object.assign(element("progress-bar"), { value: done, max: total });
  element("progress-text").textContent = `${done} of ${total} done`;
}

/** Ask the service for the full-size mask, cut-out or JSON, at the thresholds that are shown. */
async function saveOutput(card, output) {
  notify(card.root);
  try {
    const response = await segment(card.source, card.query, { output, ...shownOptions() });
    download(await response.blob(), `${stemOf(card.query.name)}.${SUFFIXES[output]}`);
  } catch (problem) {
    notify(card.root, problem.message);
  }
}

function writeSnippet() {
  const source = results.cards[0]?.source;
  if (!source) return;
  const names = results.cards.map((card) => card.query.name);
  element("code").textContent = SNIPPETS[language](source, names, shownOptions());
}

/** `name` is "threshold", of a pixel's probability, or "presence", of the whole photograph's. */
function setThreshold(name, value) {
  element(name).value = 100 * value;
  element(`${name}-value`).textContent = value.toFixed(2);
  results.look({ [name]: value });
  countAbsent();
  writeSnippet();
}

function wireView() {
  element("threshold").addEventListener("input", ({ target }) => setThreshold("threshold", target.value / 100));
  element("presence").addEventListener("input", ({ target }) => setThreshold("presence", target.value / 100));
  element("order").addEventListener("change", ({ target }) => results.look({ order: target.value }));
  element("hide-absent").addEventListener("change", ({ target }) => results.look({ hideAbsent: target.checked }));
  element("opacity").addEventListener("input", ({ target }) => {
    results.look({ opacity: target.value / 100 });
    element("opacity-value").textContent = `${target.value} %`;
  });
  element("outline").addEventListener("change", ({ target }) => results.look({ outline: target.checked }));
}

function wireSnippets() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      for (const other of document.querySelectorAll("[data-language]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      writeSnippet();
    });
  }
  element("copy").addEventListener("click", async ({ target }) => {
    await copyText(element("code").textContent);
    target.textContent = "Copied";
    announce("Copied.");
    setTimeout(() => (target.textContent = "Copy"), 2000);
  });
}

/** Pasted photographs go to step 1 until it shows something, then to step 2. */
function takePasted(files) {
  if (show.contains(document.activeElement) || !(saved.picked || editor.shots.active)) editor.add(files);
  else queries.add(files);
}

function wireSteps() {
  offerExamples("shots", (photograph, mask) => editor.addWithMask(photograph, mask));
  offerExamples("queries", (photograph) => queries.add([photograph]));
  editor.addEventListener("change", () => {
    element("fusion-choice").hidden = editor.shots.shots.length < 2;
  });
  queries.addEventListener("change", () => {
    const count = queries.files.length;
    give.querySelector('[data-when="empty"]').hidden = count > 0;
    element("run").textContent = count > 1 ? `Segment ${count} photographs` : "Segment";
    notify(give);
  });
  onChosen(element("query-file"), (files) => queries.add(files));
  onDropped(give, (files) => queries.add(files));
  onPasted(takePasted);
  ignoreStrayDrops();
  element("run").addEventListener("click", run);
  element("cancel").addEventListener("click", () => running?.abort());
}

/** The thresholds begin where the network's own are; what tells little of presence shows none. */
function beginWith({ object_threshold, presence_threshold, presence_is_learned }) {
  results.look({ knowsPresence: presence_is_learned });
  for (const part of document.querySelectorAll('[data-when="presence"]')) part.hidden = !presence_is_learned;
  setThreshold("threshold", object_threshold);
  setThreshold("presence", presence_threshold);
}

async function describeService() {
  const { model, device, version, ...thresholds } = await info();
  beginWith(thresholds);
  element("about").textContent = `SG-One Service ${version}, ${model} on ${device}, at ${address("")}`;
}

wireSteps();
wireView();
wireSnippets();
await saved.refresh();
await describeService();
