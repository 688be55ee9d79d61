/** Many photographs, one after the other: progress, patience with a busy service, cancelling. */

import { segment } from "./api.js";

const TRIES = 3;
const LOST_S = 1; // until a service that did not answer is tried again

/** @typedef {{object: Object, source: import("./api.js").Source, mark: string}} Wanted */

/**
 * Segment every card's query, for each object that is wanted. A photograph that fails says so on its
 * card and the rest go on.
 * @param {{card: import("./card.js").Card, wanted: Wanted[]}[]} jobs
 * @param {AbortSignal} signal
 * @param {(done: number) => void} onProgress
 * @returns {Promise<void>} Rejects, and leaves the rest undone, where the supports are at fault or
 *   the service does not answer.
 */
export async function segmentAll(jobs, signal, onProgress) {
  for (const [index, { card, wanted }] of jobs.entries()) {
    const failRest = (sentence) => jobs.slice(index).forEach((undone) => undone.card.fail(sentence));
    onProgress(index);
    try {
      for (const one of wanted) await segmentCard(card, one, signal);
    } catch (problem) {
      if (problem.name === "AbortError") return failRest("Cancelled.");
      if (isAboutSupports(problem)) failRest("Not done: see step 1.");
      else if (isLost(problem)) failRest("Not done: the service does not answer.");
      else card.fail(problem.message, mayPassLater(problem));
      if (isAboutSupports(problem) || isLost(problem)) throw problem;
    }
  }
  onProgress(jobs.length);
}

async function segmentCard(card, wanted, signal) {
  card.wait("Segmenting");
  const options = { output: "probability" };
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await segment(wanted.source, card.query, options, signal);
      const presence = Number(response.headers.get("X-Object-Presence") ?? 1);
      return await card.show(wanted, await response.blob(), presence);
    } catch (problem) {
      const after = isLost(problem) ? LOST_S : problem.retryAfter;
      if (!after || attempt === TRIES) throw inPagesWords(problem, card.query, wanted);
      card.wait(`${problem.message} Trying again in ${after} s.`);
      await pause(after * 1000, signal);
    }
  }
}

function isAboutSupports(problem) {
  return problem.field?.startsWith("support") || problem.code === "support_set_not_found";
}

/** Whether there was no reply at all. */
export function isLost({ status }) {
  return status === 0;
}

/** A request that the service refuses for what is in it is refused again. */
function mayPassLater({ status }) {
  return status === 429 || !(status >= 400 && status < 500);
}

/** The service names a request's parts; people know their files. */
function inPagesWords(problem, query, { object, source }) {
  if (problem.name === "AbortError") return problem;
  const message = problem.message
    .replace(/\bquery_image\b/gi, query.name)
    .replace(/\bsupport_(image|mask)\[(\d+)\]/gi, (part, kind, index) => {
      const pair = source.pairs?.[index];
      if (!pair) return part;
      return kind === "image" ? pair.image.name : `what is painted in ${pair.image.name}`;
    });
  return Object.assign(problem, { message, object });
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
