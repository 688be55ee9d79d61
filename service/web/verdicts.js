/** What is found of an object in a photograph, as words. */

/**
 * @param {import("./finding.js").Finding} finding
 * @param {{name: string, colour: number[]}} object
 * @returns {{name: string, colour: number[], text: string, isThere: boolean}} without a name where
 *   there is no other object
 */
export function verdictOf(finding, object) {
  const { name, colour } = object;
  const isAlone = finding.view.objects.length === 1;
  const found = finding.measure(object);
  const text = isAlone ? ofOne(finding, object, found) : ofSeveral(finding, object, found);
  return { name: isAlone ? "" : name, colour, text, isThere: Boolean(found?.share) };
}

function ofOne(finding, object, found) {
  if (finding.isCorrected(object)) return `${percent(found.share)} of the photograph, corrected by hand`;
  const presence = presenceOf(finding, object);
  if (finding.isAbsent(object)) return `Probably not here${presence}`;
  if (!found?.share) return `Nothing found at this threshold${presence}`;
  return `${percent(found.share)} of the photograph, score ${found.score.toFixed(2)}${presence}`;
}

function ofSeveral(finding, object, found) {
  if (finding.isCorrected(object)) return found.share ? `${percent(found.share)}, by hand` : "none, by hand";
  if (!finding.resultOf(object)) return "not looked for yet";
  const presence = presenceOf(finding, object);
  if (finding.isAbsent(object)) return `not here${presence}`;
  if (!found) return "…";
  return found.share ? `${percent(found.share)}${presence}` : `nothing${presence}`;
}

function presenceOf(finding, object) {
  const result = finding.resultOf(object);
  return result && finding.view.knowsPresence ? `, presence ${result.presence.toFixed(2)}` : "";
}

function percent(share) {
  const value = 100 * share;
  return value < 1 ? "Under 1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}
