/** The stage on which one shot is painted: by mouse, pen, finger or keyboard. */

import { Viewport } from "./viewport.js";

const TINT_ALPHA = 0.5;
const FAINT_ALPHA = 0.25;
const ZOOM_STEP = 1.25;
const ERASER_BUTTON = 32; // of a pen, in PointerEvent.buttons
export const BRUSH = { least: 2, most: 200 };

/** Emits "toolchange" when a key changes tool or size. `tool` is brush, eraser or hand. */
export class Painter extends EventTarget {
  /** @param {HTMLCanvasElement} canvas focusable; its CSS size is the stage's */
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.viewport = new Viewport();
    this.shot = null;
    this.tool = "brush";
    this.size = 28; // diameter in stage pixels, whatever the zoom
    this.pointers = new Map();
    this.cursor = null; // stage point under the brush's ring
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.#listen();
  }

  /** @param {?import("./shots.js").Shot} shot */
  show(shot) {
    if (shot === this.shot) return;
    this.#endKeyboardStroke();
    this.shot = shot;
    this.cursor = null;
    this.fit();
  }

  setTool(tool) {
    this.tool = tool;
    this.canvas.dataset.tool = tool;
    this.dispatchEvent(new Event("toolchange"));
    this.draw();
  }

  setSize(size) {
    this.size = Math.min(Math.max(Math.round(size), BRUSH.least), BRUSH.most);
    this.dispatchEvent(new Event("toolchange"));
    this.draw();
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!this.shot || !clientWidth) return;
    const ratio = devicePixelRatio;
    Object.assign(this.canvas, {
      width: Math.round(clientWidth * ratio),
      height: Math.round(clientHeight * ratio),
    });
    const { width, height } = this.shot.bitmap;
    this.viewport.fit(clientWidth, clientHeight, width, height);
    this.draw();
  }

  /** Zoom in (+1) or out (-1) around the middle of the stage. */
  zoom(direction) {
    const middle = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    this.#zoomAround(ZOOM_STEP ** direction, middle);
  }

  draw() {
    if (!this.shot || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.shot) this.#drawNow();
    });
  }

  #drawNow() {
    const { context, viewport } = this;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(
      viewport.scale * ratio, 0, 0, viewport.scale * ratio, viewport.x * ratio, viewport.y * ratio,
    );
    context.imageSmoothingEnabled = viewport.scale < 4;
    context.drawImage(this.shot.bitmap, 0, 0);
    context.globalAlpha = TINT_ALPHA;
    context.drawImage(this.shot.mask.canvas, 0, 0);
    context.globalAlpha = FAINT_ALPHA;
    if (this.shot.isProposed) context.drawImage(this.shot.proposal, 0, 0);
    context.globalAlpha = 1;
    if (this.cursor && this.tool !== "hand") this.#drawRing(ratio);
  }

  /** The brush's outline: white inside black, seen on any photograph. */
  #drawRing(ratio) {
    const { context, cursor } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(this.tool === "eraser" ? [4, 3] : []);
      context.beginPath();
      context.arc(cursor.x, cursor.y, this.size / 2, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(type, (event) => this.#up(event));
    }
    canvas.addEventListener("pointerleave", () => this.#hideCursor());
    canvas.addEventListener("blur", () => this.#hideCursor());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #down(event) {
    if (!this.shot) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#endKeyboardStroke();
    this.pointers.set(event.pointerId, stagePoint(event));
    if (this.pointers.size > 1) {
      if (this.shot.mask.stroke) this.shot.mask.cancel();
    } else if (this.tool !== "hand" && event.button !== 1) {
      this.cursor = stagePoint(event);
      this.#begin(this.cursor, Boolean(event.buttons & ERASER_BUTTON));
    }
    this.draw();
  }

  #move(event) {
    const point = stagePoint(event);
    const last = this.pointers.get(event.pointerId);
    if (event.pointerType !== "touch") this.cursor = point;
    if (last && this.shot.mask.stroke) {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) this.#extend(stagePoint(step));
    } else if (last && this.pointers.size > 1) {
      this.#pinch(event.pointerId, last, point);
    } else if (last) {
      this.viewport.pan(point.x - last.x, point.y - last.y);
    }
    if (last) this.pointers.set(event.pointerId, point);
    this.draw();
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    if (event.pointerType === "touch") this.cursor = null;
    if (this.shot?.mask.stroke && !this.pointers.size) this.shot.mask.end();
    this.draw();
  }

  #pinch(id, last, point) {
    const other = [...this.pointers].find(([otherId]) => otherId !== id)[1];
    this.viewport.pan((point.x - last.x) / 2, (point.y - last.y) / 2);
    this.viewport.zoom(distance(point, other) / Math.max(1, distance(last, other)), other);
  }

  #wheel(event) {
    if (!this.shot || !(event.ctrlKey || document.activeElement === this.canvas)) return;
    event.preventDefault();
    this.#zoomAround(Math.exp(-event.deltaY / 400), stagePoint(event));
  }

  #zoomAround(factor, point) {
    if (!this.shot) return;
    this.viewport.zoom(factor, point);
    this.draw();
  }

  #begin(point, erase = false) {
    const radius = this.size / 2 / this.viewport.scale;
    this.shot.mask.begin(this.viewport.toPicture(point), radius, erase || this.tool === "eraser");
  }

  #extend(point) {
    this.shot.mask.extend(this.viewport.toPicture(point));
  }

  /** Arrows move the brush; Space or Enter puts it down and lifts it. */
  #key(event) {
    if (!this.shot || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? this.size : Math.max(1, this.size / 4);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) this.#moveKeyboardBrush(...moves[event.key]);
    else if (event.key === " " || event.key === "Enter") this.#toggleKeyboardPen();
    else return;
    event.preventDefault();
    this.draw();
  }

  #moveKeyboardBrush(dx, dy) {
    const { clientWidth, clientHeight } = this.canvas;
    const from = this.cursor ?? { x: clientWidth / 2, y: clientHeight / 2 };
    this.cursor = {
      x: Math.min(Math.max(from.x + dx, 0), clientWidth),
      y: Math.min(Math.max(from.y + dy, 0), clientHeight),
    };
    if (this.tool === "hand") this.viewport.pan(-dx, -dy);
    else if (this.#penDown) this.#extend(this.cursor);
  }

  #toggleKeyboardPen() {
    if (this.tool === "hand") return;
    if (this.#penDown) {
      this.#endKeyboardStroke();
      return;
    }
    this.cursor ??= { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    this.#begin(this.cursor);
  }

  /** Whether the stroke in progress is the keyboard's. */
  get #penDown() {
    return Boolean(this.shot?.mask.stroke) && !this.pointers.size;
  }

  #endKeyboardStroke() {
    if (this.#penDown) this.shot.mask.end();
  }

  #hideCursor() {
    if (this.pointers.size) return;
    this.#endKeyboardStroke();
    this.cursor = null;
    this.draw();
  }
}

function stagePoint(event) {
  return { x: event.offsetX, y: event.offsetY };
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
