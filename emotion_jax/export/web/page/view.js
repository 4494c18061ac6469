// What is shown: the picture with boxes and points, and a card per face.

const COLORS = ["#4c7dff", "#f0862b", "#1fae6c", "#e2509b", "#9468f2", "#12a5c2"];
const LINES = [
  ["left_eyebrow_inner_end", "left_eyebrow_outer_end"],
  ["right_eyebrow_inner_end", "right_eyebrow_outer_end"],
  ["left_eye_inner_corner", "left_eye_center", "left_eye_outer_corner"],
  ["right_eye_inner_corner", "right_eye_center", "right_eye_outer_corner"],
  ["mouth_left_corner", "mouth_center_top_lip", "mouth_right_corner"],
  ["mouth_left_corner", "mouth_center_bottom_lip", "mouth_right_corner"],
];
const get = (id) => document.getElementById(id);
const canvas = get("picture");
const cards = get("faces");

export const color = (i) => COLORS[i % COLORS.length];

/** Shows a sentence, styled as an error if something is wrong; beside it the camera's
 * rate, which a screen reader leaves out, as it always changes. */
export function tell(sentence, { wrong = false, rate = "" } = {}) {
  const status = get("status");
  if (status.textContent !== sentence) {
    status.textContent = sentence; // or it would be read out again
  }
  status.classList.toggle("wrong", wrong);
  get("rate").textContent = rate;
}

/** Draws the picture, and over it what was found; mirrored for the camera. */
export function draw(picture, found, { points }, mirror) {
  const { width, height } = picture;
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
  }
  canvas.hidden = false;
  get("invitation").hidden = true;
  const number = found.length === 1 ? "one face" : `${found.length} faces`;
  canvas.setAttribute("aria-label", `The picture, with ${number} found`);

  const pen = canvas.getContext("2d");
  pen.save();
  if (mirror) {
    pen.translate(width, 0);
    pen.scale(-1, 1);
  }
  pen.drawImage(picture, 0, 0);
  pen.restore();
  const place = ([x, y]) => [(mirror ? width - 1 - x : x) + 0.5, y + 0.5];
  const { clientWidth, clientHeight } = canvas;
  const unit = Math.max(width / clientWidth, height / clientHeight); // a screen's pixel
  found.forEach(({ box, answer }, i) => {
    drawBox(pen, box, place, unit, color(i), i + 1);
    for (const [task, names] of Object.entries(points)) {
      drawPoints(pen, names, answer[task].map(place), unit, color(i));
    }
  });
}

/** Resets the stage to its initial state. */
export function clear() {
  canvas.hidden = true;
  get("invitation").hidden = false;
  cards.replaceChildren();
}

function drawBox(pen, [x, y, side], place, unit, ink, number) {
  const left = Math.min(place([x, y])[0], place([x + side, y])[0]);
  const top = y;
  pen.lineWidth = 2.5 * unit;
  pen.strokeStyle = ink;
  pen.beginPath();
  pen.roundRect(left, top, side, side, 8 * unit);
  pen.stroke();

  const size = 20 * unit;
  const [badgeLeft, badgeTop] = [left, top - size / 2].map((edge) => Math.max(edge, 0));
  pen.fillStyle = ink;
  pen.beginPath();
  pen.roundRect(badgeLeft, badgeTop, size, size, size / 2);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(number, badgeLeft + size / 2, badgeTop + (size + unit) / 2);
}

function drawPoints(pen, names, points, unit, ink) {
  const at = Object.fromEntries(names.map((name, i) => [name, points[i]]));
  pen.strokeStyle = "rgb(255 255 255 / 70%)";
  pen.lineWidth = 1.2 * unit;
  for (const line of LINES.map((ends) => ends.map((name) => at[name]).filter(Boolean))) {
    pen.beginPath();
    line.forEach(([x, y]) => pen.lineTo(x, y));
    pen.stroke();
  }
  pen.fillStyle = ink;
  pen.strokeStyle = "#fff";
  for (const [x, y] of points) {
    pen.beginPath();
    pen.arc(x, y, 2.6 * unit, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

/** One card per face, kept from frame to frame. */
export function list(found, network) {
  while (cards.children.length > found.length) {
    cards.lastElementChild.remove();
  }
  while (cards.children.length < found.length) {
    cards.append(makeCard(cards.children.length, network));
  }
  found.forEach((face, i) => fill(cards.children[i], face, network));
}

function makeCard(i, { classes }) {
  const card = get("face").content.firstElementChild.cloneNode(true);
  card.style.setProperty("--color", color(i));
  card.querySelector(".number").textContent = `Face ${i + 1}`;
  for (const [task, names] of Object.entries(classes)) {
    const part = get("task").content.cloneNode(true);
    part.querySelector(".name").textContent = task.replaceAll("_", " ");
    part.querySelector("dl").append(...names.map(makeRow));
    card.querySelector(".bars").append(part);
  }
  return card;
}

function makeRow(name) {
  const row = document.createElement("div");
  row.innerHTML =
    '<dt></dt><dd><span class="bar"><span></span></span><span class="share"></span></dd>';
  row.firstElementChild.textContent = name;
  return row;
}

function fill(card, { seen, answer }, { side, classes, points }) {
  const small = card.querySelector(".seen");
  const pixels = new ImageData(side, side);
  seen.forEach((level, i) => pixels.data.set([level, level, level, 255], 4 * i));
  Object.assign(small, { width: side, height: side });
  small.getContext("2d").putImageData(pixels, 0, 0);

  const best = Object.entries(classes).map(([task, names]) => {
    return names[answer[task].indexOf(Math.max(...answer[task]))];
  });
  const count = Object.values(points).flat().length;
  card.querySelector(".top").textContent = best.join(", ") || `${count} points`;
  const shares = Object.keys(classes).flatMap((task) => [...answer[task]]);
  card.querySelectorAll(".bars dl div").forEach((row, k) => {
    row.querySelector(".bar span").style.transform = `scaleX(${shares[k]})`;
    row.querySelector(".share").textContent = `${Math.round(100 * shares[k])} %`;
  });
}
