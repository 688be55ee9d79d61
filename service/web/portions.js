/** Work in portions of a few milliseconds, so that no frame waits for hundreds of cards. */

const PORTION_MS = 4; // of 16 that a frame has; showing what was drawn takes as much again and more

export class Portions {
  /**
   * Do these tasks in their order, the first portion now and one a frame from then on. What is left of
   * earlier ones is dropped; while frames are at work, the next of them begins.
   */
  do(tasks) {
    this.tasks = tasks.values();
    if (!this.frame) this.#portion();
  }

  #portion() {
    this.frame = 0;
    const end = performance.now() + PORTION_MS;
    do {
      const { value: task, done } = this.tasks.next();
      if (done) return;
      task();
    } while (performance.now() < end);
    this.frame = requestAnimationFrame(() => this.#portion());
  }
}
