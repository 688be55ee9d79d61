/** Many photographs, one after the other: progress, patience with a busy service, cancelling. */

import { segment } from "./api.js";

const TRIES = 3;
const LOST_S = 1; // until a service that did not answer is tried again

/**
 * Segment every card's query. A photograph that fails says so on its card and the rest go on.
 * @param {import("./results.js").Card[]} cards
 * @param {AbortSignal} signal
 * @param {(done: number) => void} onProgress
 * @returns {Promise<void>} Rejects, and leaves the rest undone, where the supports are at fault or
 *   the service does not answer.
 */
export async function segmentAll(cards, signal, onProgress) {
  for (const [index, card] of cards.entries()) {
    onProgress(index);
    try {
      await segmentCard(card, signal);
    } catch (problem) {
      if (problem.name === "AbortError") return cards.slice(index).forEach(markCancelled);
      if (isAboutSupports(problem)) {
        cards.slice(index).forEach((undone) => undone.fail("Not done: see step 1."));
        throw new Error(inPagesWords(problem.message, card));
      }
      if (isLost(problem)) {
        cards.slice(index).forEach((undone) => undone.fail("Not done: the service does not answer."));
        throw problem;
      }
      card.fail(inPagesWords(problem.message, card), mayPassLater(problem));
    }
  }
  onProgress(cards.length);
}

async function segmentCard(card, signal) {
  card.wait("Segmenting");
  const options = { output: "probability" };
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await segment(card.request.source, card.query, options, signal);
      const presence = Number(response.headers.get("X-Object-Presence") ?? 1);
      return await card.show(await response.blob(), presence);
    } catch (problem) {
      const after = isLost(problem) ? LOST_S : problem.retryAfter;
      if (!after || attempt === TRIES) throw problem;
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
function inPagesWords(message, { query, request }) {
  return message
    .replace(/\bquery_image\b/gi, query.name)
    .replace(/\bsupport_(image|mask)\[(\d+)\]/gi, (part, kind, index) => {
      const pair = request.source.pairs?.[index];
      if (!pair) return part;
      return kind === "image" ? pair.image.name : `what is painted in ${pair.image.name}`;
    });
}

function markCancelled(card) {
  card.fail("Cancelled.");
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
