/** Where a picture lies on its stage: pure arithmetic of fitting, zooming and panning. */

const MOST_ZOOM = 32;

/** `scale` is stage pixels per picture pixel; (x, y) the picture's corner on the stage. */
export class Viewport {
  constructor() {
    Object.assign(this, { scale: 1, x: 0, y: 0, least: 1 });
  }

  /** Show the whole picture, centred. */
  fit(stageWidth, stageHeight, width, height) {
    this.least = Math.min(stageWidth / width, stageHeight / height);
    this.scale = this.least;
    this.x = (stageWidth - width * this.scale) / 2;
    this.y = (stageHeight - height * this.scale) / 2;
  }

  /** Scale by `factor` around a point of the stage, which stays where it is. */
  zoom(factor, around) {
    const scale = Math.min(Math.max(this.scale * factor, this.least / 2), MOST_ZOOM);
    this.x = around.x - ((around.x - this.x) * scale) / this.scale;
    this.y = around.y - ((around.y - this.y) * scale) / this.scale;
    this.scale = scale;
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
  }

  /** Stage to picture. */
  toPicture(point) {
    return { x: (point.x - this.x) / this.scale, y: (point.y - this.y) / this.scale };
  }

  /** Picture to stage. */
  toStage(point) {
    return { x: point.x * this.scale + this.x, y: point.y * this.scale + this.y };
  }
}
