/** The service over HTTP. Every failure is a ServiceProblem, whose message is a sentence. */

/** @typedef {{id: string, created: string}} StoredPair */
/** @typedef {{id: string, name: string, label: ?string, shots: number, pairs: StoredPair[]}} SupportSet */
/** @typedef {{image: File, mask: Blob, maskName: string}} Pair */
/** @typedef {{set: SupportSet} | {pairs: Pair[], fusion: string}} Source What the object is. */

/** An error reply, or no reply at all (`status` 0). `field` is the part at fault. */
export class ServiceProblem extends Error {
  constructor(message, { status = 0, code = "", field = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, field, retryAfter });
  }
}

/**
 * Segment one photograph.
 * @param {Source} source
 * @param {File} query
 * @param {Object<string, string|number>} options as in docs/reference/options.md: output, threshold, ...
 * @param {AbortSignal=} signal
 * @returns {Promise<Response>}
 */
export function segment(source, query, options, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  form.append("query_image", query, query.name);
  if (source.set) {
    return send(`segment/kshot?support_set=${source.set.id}`, { method: "POST", body: form, signal });
  }
  appendPairs(form, source.pairs);
  if (source.pairs.length > 1) form.append("fusion", source.fusion);
  return send("segment/kshot", { method: "POST", body: form, signal });
}

/**
 * What of a mask file is object: the service alone reads mask files.
 * @param {File} file
 * @param {string} format as mask_format in docs/reference/images.md
 * @returns {Promise<{png: Blob, format: string, share: number}>} grey, 255 on the object; the
 *   format by which it was read, and the object's share of the picture
 */
export async function readMask(file, format) {
  const form = new FormData();
  form.append("mask", file, file.name);
  form.append("mask_format", format);
  const response = await send("mask", { method: "POST", body: form });
  const [name, share] = response.headers.get("X-Mask-Reading").split("; share=");
  return { png: await response.blob(), format: name, share: Number(share) };
}

/**
 * The mask of what is roughly marked in a photograph.
 * @param {Pair} pair
 * @returns {Promise<Blob>} grey PNG, 255 on the object
 */
export async function completeMask(pair) {
  const form = new FormData();
  appendPairs(form, [pair]);
  return (await send("segment/complete", { method: "POST", body: form })).blob();
}

/**
 * Masks that are there already, as files of other tools' formats.
 * @param {{name: string, mask: Blob, image: ?File}[]} drawn `name` is the photograph's; masks of several
 *   objects have their numbers as grey levels
 * @param {string[]} labels of the objects
 * @param {Object<string, string|boolean>} options format, instances
 * @param {string} accept media type of the reply
 * @param {AbortSignal=} signal
 * @returns {Promise<Response>}
 */
export function writeAnnotations(drawn, labels, options, accept, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...options, mask_format: "light" })) form.append(name, value);
  for (const label of labels) form.append(labels.length > 1 ? "class_label" : "label", label);
  for (const { name, mask, image } of drawn) {
    form.append("mask", mask, name);
    if (image) form.append("image", image, name);
  }
  return send("annotations", { method: "POST", body: form, headers: { Accept: accept }, signal });
}

/** @returns {Promise<{items: SupportSet[], total: number}>} newest first */
export async function listSets(limit, offset) {
  return (await send(`supports?limit=${limit}&offset=${offset}`)).json();
}

/** @returns {Promise<SupportSet>} */
export async function createSet(name, pairs) {
  const form = new FormData();
  form.append("name", name);
  appendPairs(form, pairs);
  return (await send("supports", { method: "POST", body: form })).json();
}

/**
 * Store an exported set, under its own name or another.
 * @param {File} archive
 * @returns {Promise<SupportSet>}
 */
export async function importSet(archive, name = "") {
  const form = new FormData();
  form.append("archive", archive, archive.name);
  if (name) form.append("name", name);
  return (await send("supports/import", { method: "POST", body: form })).json();
}

/** @returns {Promise<SupportSet>} the set under its new name */
export async function changeSet(id, name) {
  const form = new FormData();
  form.append("name", name);
  return (await send(`supports/${id}`, { method: "PATCH", body: form })).json();
}

/** @returns {Promise<SupportSet>} the set with further pairs */
export async function addPairs(id, pairs) {
  const form = new FormData();
  appendPairs(form, pairs);
  return (await send(`supports/${id}/pairs`, { method: "POST", body: form })).json();
}

/**
 * Put a mask, and a photograph if there is one, in the place of a pair's.
 * @returns {Promise<SupportSet>}
 */
export async function replacePair(id, pairId, { image, mask, maskName }) {
  const form = new FormData();
  if (image) form.append("support_image", image, image.name);
  form.append("support_mask", mask, maskName);
  return (await send(`supports/${id}/pairs/${pairId}`, { method: "PUT", body: form })).json();
}

/** Delete one pair of a set. */
export function deletePair(id, pairId) {
  return send(`supports/${id}/pairs/${pairId}`, { method: "DELETE" });
}

/**
 * A pair's file as it was uploaded.
 * @param {string} half image or mask
 * @param {string} stem of the file's name; its type gives the ending
 * @returns {Promise<File>}
 */
export async function pairFile(id, pairId, half, stem) {
  const blob = await (await send(`supports/${id}/pairs/${pairId}/${half}`)).blob();
  return new File([blob], `${stem}.${blob.type.replace("image/", "").replace("jpeg", "jpg")}`, { type: blob.type });
}

/** Delete a set with its photographs. */
export function deleteSet(id) {
  return send(`supports/${id}`, { method: "DELETE" });
}

/** Where the set's picture is; another address once its first pair is another. */
export function thumbnailUrl({ id, pairs }) {
  return address(`supports/${id}/thumbnail?of=${encodeURIComponent(pairs[0].id + pairs[0].created)}`);
}

/** Where the set is, as one file. */
export function exportUrl(id) {
  return address(`supports/${id}/export`);
}

/** @returns {Promise<{model: string, device: string, limits: Object}>} */
export async function info() {
  return (await send("info")).json();
}

/** The service's own address, whatever path a proxy puts it under. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

function appendPairs(form, pairs) {
  for (const { image, mask, maskName } of pairs) {
    form.append("support_image", image, image.name);
    form.append("support_mask", mask, maskName);
  }
}

async function send(path, request = {}) {
  let response;
  try {
    response = await fetch(address(path), request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceProblem("The service does not answer. See that it is running, then try again.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new ServiceProblem(asSentence(problem.detail ?? `The service answered ${response.status}`), {
    status: response.status,
    code: problem.code,
    field: problem.field,
    retryAfter: Number(response.headers.get("Retry-After")),
  });
}

function asSentence(text) {
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text[0].toUpperCase() + text.slice(1) + end;
}
