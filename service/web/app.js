/** The page: three steps wired together. */

import { address, info, segment } from "./api.js";
import { Editor } from "./editor.js";
import { offerExamples } from "./examples.js";
import { download, ignoreStrayDrops, onChosen, onDropped, onPasted } from "./intake.js";
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
  if (!on) announce(`${results.cards.filter((card) => card.map).length} of ${results.cards.length} done.`);
}

function showProgress(done, total) {
  Object.assign(element("progress-bar"), { value: done, max: total });
  element("progress-text").textContent = `${done} of ${total} done`;
}

/** Ask the service for the full-size mask, cut-out or JSON, at the threshold that is shown. */
async function saveOutput(card, output) {
  notify(card.root);
  try {
    const options = { output, threshold: results.view.threshold };
    const response = await segment(card.source, card.query, options);
    download(await response.blob(), `${stemOf(card.query.name)}.${SUFFIXES[output]}`);
  } catch (problem) {
    notify(card.root, problem.message);
  }
}

function writeSnippet() {
  const source = results.cards[0]?.source;
  if (!source) return;
  const names = results.cards.map((card) => card.query.name);
  element("code").textContent = SNIPPETS[language](source, names, results.view.threshold);
}

function wireView() {
  element("threshold").addEventListener("input", ({ target }) => {
    results.look({ threshold: target.value / 100 });
    element("threshold-value").textContent = (target.value / 100).toFixed(2);
    writeSnippet();
  });
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

async function describeService() {
  const { model, device, version } = await info();
  element("about").textContent = `SG-One Service ${version}, ${model} on ${device}, at ${address("")}`;
}

wireSteps();
wireView();
wireSnippets();
await saved.refresh();
await describeService();
