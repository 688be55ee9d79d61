/** A map of classes at another size, by what is nearest to each of the new pixels. */

/**
 * Of four pixels around a place the class with the largest part of the square between them counts.
 * @param {Uint8Array} classes
 * @param {{width: number, height: number}} from its size
 * @param {{width: number, height: number}} to
 * @returns {(x: number, y: number) => number} the class at a place of the new size
 */
export function sampler(classes, from, to) {
  if (from.width === to.width && from.height === to.height) return (x, y) => classes[y * to.width + x];
  const [columns, rows] = [positions(to.width, from.width), positions(to.height, from.height)];
  return (x, y) => {
    const [left, right, across] = [columns.low[x], columns.high[x], columns.share[x]];
    const [top, bottom, down] = [rows.low[y] * from.width, rows.high[y] * from.width, rows.share[y]];
    const [a, b, c, d] = [top + left, top + right, bottom + left, bottom + right];
    if (classes[a] === classes[b] && classes[a] === classes[c] && classes[a] === classes[d]) return classes[a];
    const corners = [classes[a], classes[b], classes[c], classes[d]];
    return heaviest(corners, [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down]);
  };
}

function heaviest(corners, weights) {
  let [best, most] = [0, -1];
  for (const candidate of corners) {
    let weight = 0;
    for (let i = 0; i < 4; i++) if (corners[i] === candidate) weight += weights[i];
    if (weight > most) [best, most] = [candidate, weight];
  }
  return best;
}

/** Linear interpolation of `from` cells at `to` positions, pixel centres aligned. */
function positions(to, from) {
  const low = new Uint32Array(to);
  const high = new Uint32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const position = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    low[i] = Math.floor(position);
    high[i] = Math.min(low[i] + 1, from - 1);
    share[i] = position - low[i];
  }
  return { low, high, share };
}
