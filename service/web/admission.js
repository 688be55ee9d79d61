/** Which files are taken for photographs, and what is said of the others. */

// The first bytes of what the service reads; "....ftyp" also opens videos, whose brands are others.
const OPENINGS = [/^\xff\xd8\xff/, /^\x89PNG/, /^RIFF[^]{4}WEBP/, /^BM/, /^(II[*+]\0|MM\0[*+])/, /^\0\0\0\x0cjP /];
const BRANDS = /^[^]{4}ftyp(avi[fs]|hei[cxms]|hev[cx]|mif1|msf1)/;

/**
 * @param {File[]} files
 * @param {File[]} known what is there already
 * @returns {Promise<{taken: File[], said: string}>} what is new and may be a photograph, and a
 *   sentence or two about the rest
 */
export async function admitted(files, known) {
  const [taken, twice, others] = [[], [], []];
  for (const file of files) {
    if (!(await isImage(file))) others.push(file.name);
    else if (await isAmong(file, [...known, ...taken])) twice.push(file.name);
    else taken.push(file);
  }
  const said = [
    sentence(twice, "is there already", "are there already"),
    sentence(others, "is no photograph", "are no photographs"),
  ];
  return { taken, said: said.filter(Boolean).join(" ") };
}

/** The file among these that has the same content. */
export async function sameAs(file, others) {
  for (const other of others) {
    if (other === file || (other.size === file.size && (await haveSameBytes(file, other)))) return other;
  }
  return null;
}

async function isAmong(file, others) {
  return (await sameAs(file, others)) !== null;
}

async function haveSameBytes(one, other) {
  const [a, b] = await Promise.all([one, other].map(async (file) => new Uint8Array(await file.arrayBuffer())));
  return a.every((value, index) => value === b[index]);
}

async function isImage(file) {
  const bytes = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const opening = String.fromCharCode(...bytes);
  return BRANDS.test(opening) || OPENINGS.some((pattern) => pattern.test(opening));
}

function sentence(names, is, are) {
  const [first, ...rest] = names;
  if (!first) return "";
  if (!rest.length) return `${first} ${is}.`;
  return `${first} and ${rest.length} more ${are}.`;
}
