/** The page: three steps wired together. */

import { address, info } from "./api.js";
import { confirmed } from "./dialogs.js";
import { Editor } from "./editor.js";
import { Everything } from "./everything.js";
import { offerExamples } from "./examples.js";
import { ignoreStrayDrops, onChosen, onDropped, onPasted } from "./intake.js";
import { listenToKeys } from "./keys.js";
import { LargeView } from "./large.js";
import { showLegend } from "./legend.js";
import { photographs } from "./library.js";
import { announce, notify, tell } from "./notices.js";
import { ObjectBar } from "./objectbar.js";
import { ObjectList } from "./objects.js";
import { saveOutput } from "./outputs.js";
import { QueryList } from "./queries.js";
import { ResultList } from "./results.js";
import { SavedObjects } from "./saved.js";
import { Segmenting } from "./segmenting.js";
import { Session } from "./session.js";
import { copyText, curlSnippet, pythonSnippet } from "./snippets.js";

const SNIPPETS = { curl: curlSnippet, python: pythonSnippet };

const element = (id) => document.getElementById(id);
const [show, give] = [element("show"), element("give")];
const editor = new Editor(show);
const saved = new SavedObjects(show, editor);
const objects = new ObjectList(saved, editor, element("fusion"));
const queries = new QueryList(element("query-list"), element("queries-head"));
const results = new ResultList(element("card-list"), element("absent-list"), {
  onOutput: saveOutput,
  onAgain: (card) => segmenting.segment([card]),
  onOpen: (card) => large.open(card),
  onUse: useToo,
  onChange: (card) => {
    showAbsent();
    session.keepCard(card);
  },
});
const large = new LargeView(editor.toolbar, { cards: () => results.shown, onUse: useToo });
const segmenting = new Segmenting(objects, queries, results);
const everything = new Everything(results, () => objects.givenName(objects.active));
const session = new Session({ objects, library: saved.library, queries, results });
new ObjectBar(objects);
let language = "curl";
let unfolded = null; // whether to show where the object probably is not, once somebody said so

/** Let a result show what is marked in it as well: its photograph and mask become one more of step 1. */
async function useToo(card) {
  notify(card.root);
  const { classes, ...size } = await card.finding.mask();
  const marked = objects.objects.filter((_, place) => classes.includes(place + 1));
  if (!marked.length) {
    notify(card.root, `Nothing is marked in ${card.query.name}. Open it large and paint over the object first.`);
    return;
  }
  const { active } = objects;
  const numbers = new Map(objects.objects.map((object, place) => [object, place + 1]));
  for (const object of marked) {
    objects.activate(object);
    if (saved.picked) await saved.openPicked();
    const own = classes.map((number) => Number(number === numbers.get(object)));
    await editor.addMasked(card.query, { ...size, classes: own });
  }
  objects.activate(active);
  const shown = objects.areSeveral ? marked.map((object) => objects.nameOf(object)).join(", ") : "the object";
  tell(`${card.query.name} shows ${shown} as well. See step 1.`);
}

/** The objects' colours above the results. */
function showObjects() {
  showLegend(element("legend"), objects.shown, "legend-template");
  element("fusion-choice").hidden = objects.objects.every((object) => objects.stateOf(object).shots.length < 2);
}

/** Say in how many photographs the object probably is not, and fold them away where there are others. */
function showAbsent() {
  const count = results.cards.filter(({ finding }) => finding.absent).length;
  const isUnfolded = unfolded ?? count === results.cards.length;
  element("absent-toggle").hidden = !count;
  element("absent-toggle").setAttribute("aria-expanded", String(isUnfolded));
  element("absent-count").textContent = `Probably not in ${count} of ${photographs(results.cards.length)}`;
  element("absent-list").hidden = !count || !isUnfolded;
}

function writeSnippet() {
  const shown = results.view.objects.map(({ id, name }) => {
    const known = results.cards.find(({ finding }) => finding.results.has(id));
    return { label: name, source: known?.finding.results.get(id).source };
  });
  if (!shown.length || shown.some(({ source }) => !source)) return;
  const names = results.cards.map((card) => card.query.name);
  element("code").textContent = SNIPPETS[language](shown, names, results.options);
}

/** `name` is "threshold", of a pixel's probability, or "presence", of the whole photograph's. */
function setThreshold(name, value) {
  element(name).value = 100 * value;
  element(`${name}-value`).textContent = value.toFixed(2);
  results.look({ [name]: value });
  if (name === "presence") showAbsent();
}

function wireView() {
  results.addEventListener("settle", writeSnippet);
  element("threshold").addEventListener("input", ({ target }) => setThreshold("threshold", target.value / 100));
  element("presence").addEventListener("input", ({ target }) => setThreshold("presence", target.value / 100));
  element("order").addEventListener("change", ({ target }) => results.look({ order: target.value }));
  element("absent-toggle").addEventListener("click", () => {
    unfolded = element("absent-list").hidden;
    showAbsent();
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
  else giveQueries(files);
}

async function giveQueries(files) {
  const said = await queries.take(files);
  notify(give, said);
}

/** Removes every photograph of step 2, with its result. */
async function removeAll() {
  const corrected = results.cards.filter(({ finding }) => finding.correction).length;
  const loss = corrected ? ` and ${corrected === 1 ? "one correction" : `${corrected} corrections`}` : "";
  const question = `Remove ${photographs(queries.files.length)}, the results${loss}?`;
  if (!results.cards.length || (await confirmed(question, "Remove"))) queries.clear();
}

function wireSteps() {
  offerExamples("shots", (photograph, mask) => editor.addWithMask(photograph, mask));
  offerExamples("queries", (photograph) => giveQueries([photograph]));
  objects.addEventListener("change", showObjects);
  objects.addEventListener("resave", ({ detail }) => results.resave(detail));
  queries.addEventListener("change", () => {
    give.querySelector('[data-when="empty"]').hidden = queries.files.length > 0;
  });
  onChosen(element("query-file"), giveQueries);
  onDropped(give, giveQueries);
  element("query-clear").addEventListener("click", removeAll);
  onPasted(takePasted);
  ignoreStrayDrops();
  listenToKeys({
    run: () => segmenting.run(),
    download: () => everything.open(),
    use: useToo,
    object: (place) => objects.objects[place] && objects.activate(objects.objects[place]),
    save: (card) => saveOutput(card, "mask"),
    cards: () => results.shown,
  });
  segmenting.addEventListener("change", () => {
    showAbsent();
    writeSnippet();
  });
}

/** Whether leaving now would lose something, or leave behind what was made by hand and not downloaded. */
function isUnsaved() {
  const states = objects.objects.map((object) => objects.stateOf(object));
  const hasWork = results.cards.length > 0 || states.some(({ shots }) => shots.length > 0);
  return (
    states.some(({ opened }) => opened.news) ||
    large.isPending ||
    segmenting.running !== null ||
    (hasWork && !session.isSettled) ||
    results.cards.some((card) => card.isUnsaved)
  );
}

/** Say whether a reload would lose anything. */
function sayWhatIsKept() {
  const words = session.isSettled ? "Your work is kept in this browser until you remove it." : "Keeping your work …";
  element("kept").textContent = session.isKept ? words : "This tab does not keep your work: a reload would lose it.";
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
session.addEventListener("change", sayWhatIsKept);
window.addEventListener("beforeunload", (event) => isUnsaved() && event.preventDefault());
await saved.refresh();
await session.begin();
segmenting.update();
await describeService();
