/** A mask as an 8-bit PNG, grey or indexed: what canvas.toBlob cannot write, at any size, row by row. */

const SIGNATURE = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const [GREY, INDEXED] = [0, 3];
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * @param {number} width
 * @param {number} height
 * @param {(y: number, row: Uint8Array) => void} fillRow writes the grey values of row y
 * @returns {Promise<Blob>}
 */
export function encodeGreyPng(width, height, fillRow) {
  return encode(width, height, fillRow, GREY, []);
}

/**
 * The same with the colours of indices.
 * @param {{palette: number[][], legend: string}} told red, green and blue of each index; ASCII, which
 *   goes into a text chunk of that name
 */
export function encodeIndexedPng(width, height, fillRow, { palette, legend }) {
  const text = new TextEncoder().encode(`legend\0${legend}`);
  const told = [...chunk("PLTE", Uint8Array.from(palette.flat())), ...chunk("tEXt", text)];
  return encode(width, height, fillRow, INDEXED, told);
}

async function encode(width, height, fillRow, colourType, told) {
  const lines = new Uint8Array((width + 1) * height); // each row opens with its filter: 0, none
  for (let y = 0; y < height; y++) {
    const start = y * (width + 1) + 1;
    fillRow(y, lines.subarray(start, start + width));
  }
  const parts = [
    SIGNATURE,
    ...chunk("IHDR", header(width, height, colourType)),
    ...told,
    ...chunk("IDAT", await deflate(lines)),
    ...chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

function header(width, height, colourType) {
  const view = new DataView(new ArrayBuffer(13));
  view.setUint32(0, width);
  view.setUint32(4, height);
  view.setUint8(8, 8); // bits
  view.setUint8(9, colourType);
  return new Uint8Array(view.buffer);
}

async function deflate(bytes) {
  const { writable, readable } = new CompressionStream("deflate");
  const writer = writable.getWriter();
  // Awaited by nobody: what fails here fails in the readable end as well.
  Promise.all([writer.write(bytes), writer.close()]).catch(() => {});
  return new Uint8Array(await new Response(readable).arrayBuffer());
}

function chunk(type, content) {
  const name = new TextEncoder().encode(type);
  return [uint32(content.length), name, content, uint32(crc32(name, content))];
}

function uint32(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return new Uint8Array(view.buffer);
}

function crc32(...parts) {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (const byte of part) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
