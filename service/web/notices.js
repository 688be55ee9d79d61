/** Sentences for people: errors beside what they are about, and news for screen readers. */

/** Show the sentence in the element's own notice, or hide it when there is none. */
export function notify(element, sentence = "") {
  const notice = element.querySelector(".notice");
  notice.textContent = sentence;
  notice.hidden = !sentence;
}

/** Tell screen readers, and nobody else. */
export function announce(sentence) {
  document.getElementById("status").textContent = sentence;
}
