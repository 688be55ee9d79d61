/** What was just done, as a command and as a program. */

import { address } from "./api.js";

/**
 * @param {{label: string, source: import("./api.js").Source}[]} objects
 * @param {string[]} queries file names
 * @param {Object<string, number>} options such as threshold
 */
export function curlSnippet(objects, queries, options) {
  const several = objects.length > 1;
  const sets = objects.flatMap(({ source }) => (source.set ? [`support_set=${source.set.id}`] : []));
  const fields = objects.flatMap(({ label, source }) =>
    (source.pairs ?? []).flatMap(({ image, maskName }) => [
      formFile("support_image", image.name),
      formFile("support_mask", maskName),
      ...(several ? [`--form-string ${shellQuote(`support_label=${label}`)}`] : []),
    ]),
  );
  const fusion = fusionOf(objects);
  if (fusion) fields.push(`--form fusion=${fusion}`);
  fields.push(formFile("query_image", queries[0]));
  for (const [name, value] of Object.entries(options)) fields.push(`--form ${name}=${value}`);
  const path = [several ? "segment/multiclass" : "segment/kshot", sets.join("&")].filter(Boolean).join("?");
  return ["curl --fail-with-body --output mask.png", ...fields, shellQuote(address(path))].join(" \\\n  ");
}

/** The same with service/client.py. */
export function pythonSnippet(objects, queries, options) {
  const several = objects.length > 1;
  const given = Object.entries(options).map(([name, value]) => `${name}=${value}`).join(", ");
  const fusion = fusionOf(objects) ? `, fusion=${JSON.stringify(fusionOf(objects))}` : "";
  const name = several ? "objects_shown" : "object_shown";
  const call = several ? "found = client.segment_multiclass" : "mask = client.segment";
  const shown = several ? "{one.label: one.area for one in found.classes}" : 'f"{mask.mean():.1%} of the photograph"';
  return [
    "from service.client import SegmentationClient",
    "",
    `${name} = dict(${several ? severalShown(objects) : oneShown(objects[0])}${fusion})`,
    `with SegmentationClient(${JSON.stringify(address("").replace(/\/$/, ""))}) as client:`,
    `    for query in ${JSON.stringify(queries)}:`,
    `        ${call}(query, **${name}, ${given})`,
    `        print(query, ${shown})`,
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

function oneShown({ source }) {
  if (source.set) return `support_set=${JSON.stringify(source.set.id)}`;
  return `supports=[${source.pairs.map(({ image, maskName }) => tuple(image.name, maskName)).join(", ")}]`;
}

function severalShown(objects) {
  const pairs = objects.flatMap(({ label, source }) =>
    (source.pairs ?? []).map(({ image, maskName }) => tuple(label, image.name, maskName)),
  );
  const sets = objects.flatMap(({ source }) => (source.set ? [JSON.stringify(source.set.id)] : []));
  return [
    ...(pairs.length ? [`supports=[${pairs.join(", ")}]`] : []),
    ...(sets.length ? [`support_sets=[${sets.join(", ")}]`] : []),
  ].join(", ");
}

function fusionOf(objects) {
  return objects.find(({ source }) => source.pairs?.length > 1)?.source.fusion;
}

function tuple(...texts) {
  return `(${texts.map((text) => JSON.stringify(text)).join(", ")})`;
}

function formFile(part, name) {
  const path = /[";,\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name;
  return `--form ${shellQuote(`${part}=@${path}`)}`;
}

function shellQuote(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
