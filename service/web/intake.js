/** Photographs into the page: chosen, dropped or pasted. */

/** Call `take` with the files that are chosen; choosing the same again counts as well. */
export function onChosen(input, take) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) take(files);
  });
}

/** Call `take` with what is dropped anywhere on the element. */
export function onDropped(element, take) {
  let depth = 0; // dragenter and dragleave come for every child as well
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    element.classList.toggle("dragging", depth > 0);
  };
  element.addEventListener("dragenter", () => mark(+1));
  element.addEventListener("dragleave", () => mark(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}

/** Call `take` with pasted image files; pasted text goes where it belongs. */
export function onPasted(take) {
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}

/** Drops beside the marked places must not make the browser leave the page. */
export function ignoreStrayDrops() {
  for (const type of ["dragover", "drop"]) {
    window.addEventListener(type, (event) => event.preventDefault());
  }
}

/** Hand a blob to the browser's downloads. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
