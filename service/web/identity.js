/** Names for things that are to be told apart, in this visit and after a reload. */

/** @returns {string} */
export function newId() {
  // Not randomUUID: a page that comes from another machine without TLS has none.
  return crypto.getRandomValues(new Uint32Array(3)).join("-");
}
