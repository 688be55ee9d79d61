/** Sentences for people: errors beside what they are about, and news for screen readers. */

/** Show the sentence in the element's own notice, or hide it when there is none. */
export function notify(element, sentence = "") {
  const notice = element.querySelector(".notice");
  notice.textContent = sentence;
  notice.hidden = !sentence;
}

const TOAST_MS = 5000;
let timer = 0;

/** Say what was done, for everybody: to be seen for a while, and told by screen readers. */
export function tell(sentence) {
  const toast = document.getElementById("toast");
  toast.textContent = sentence;
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), TOAST_MS);
  announce(sentence);
}

/** Tell screen readers, and nobody else. */
export function announce(sentence) {
  document.getElementById("status").textContent = sentence;
}
