/** What was just done, as a command and as a program. */

import { address } from "./api.js";

/**
 * @param {import("./api.js").Source} source
 * @param {string[]} queries file names
 * @param {Object<string, number>} options such as threshold
 */
export function curlSnippet(source, queries, options) {
  const path = source.set ? `segment/kshot?support_set=${source.set.id}` : "segment/kshot";
  const fields = (source.pairs ?? []).flatMap(({ image, maskName }) => [
    formFile("support_image", image.name),
    formFile("support_mask", maskName),
  ]);
  if (source.pairs?.length > 1) fields.push(`--form fusion=${source.fusion}`);
  fields.push(formFile("query_image", queries[0]));
  for (const [name, value] of Object.entries(options)) fields.push(`--form ${name}=${value}`);
  return ["curl --fail-with-body --output mask.png", ...fields, shellQuote(address(path))].join(" \\\n  ");
}

/** The same with service/client.py. */
export function pythonSnippet(source, queries, options) {
  const given = Object.entries(options).map(([name, value]) => `${name}=${value}`).join(", ");
  const object = source.set
    ? `support_set=${JSON.stringify(source.set.id)}`
    : `supports=[${source.pairs
        .map(({ image, maskName }) => `(${JSON.stringify(image.name)}, ${JSON.stringify(maskName)})`)
        .join(", ")}]`;
  const fusion = source.pairs?.length > 1 ? `, fusion=${JSON.stringify(source.fusion)}` : "";
  return [
    "from service.client import SegmentationClient",
    "",
    `object_shown = dict(${object}${fusion})`,
    `with SegmentationClient(${JSON.stringify(address("").replace(/\/$/, ""))}) as client:`,
    `    for query in ${JSON.stringify(queries)}:`,
    `        mask = client.segment(query, **object_shown, ${given})`,
    '        print(query, f"{mask.mean():.1%} of the photograph")',
  ].join("\n");
}

/** Copy, also where the page is no secure context and has no clipboard of its own. */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function formFile(part, name) {
  const path = /[";,\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
  return `--form ${shellQuote(`${part}=@${path}`)}`;
}

function shellQuote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
