/** Questions that wait for an answer. */

/** @returns {Promise<boolean>} whether the deed is meant */
export async function confirmed(question, deed = "Delete") {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = question;
  dialog.querySelector(".danger").textContent = deed;
  return (await answered(dialog)) === "delete";
}

/** @returns {Promise<?string>} the name that is given, or null */
export async function askedName(question, proposal) {
  const dialog = document.getElementById("naming");
  dialog.querySelector("p").textContent = question;
  const field = dialog.querySelector("input");
  // No button of the form: Enter would press the first of those.
  dialog.querySelector("[type=button]").onclick = () => dialog.close("cancel");
  field.value = proposal;
  const answer = answered(dialog);
  field.select();
  return (await answer) === "take" ? field.value.trim() : null;
}

function answered(dialog) {
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}
