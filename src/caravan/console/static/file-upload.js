// <file-upload href="…" data-largest="bytes">: PUTs the chosen or dropped file to its address, as a stream of the
// browser's own: the file is never in memory. Without it the form inside sends the file to the page.
// <new-batch>: opens the batch by its form and goes on to the batch's page without losing the file that was chosen.
const SENTENCES = {
  // where the answer has none of its own, as from a proxy
  0: "The connection broke off. Nothing of the file was kept; send it again.",
  408: "The upload stood still and was given up; send it again.",
  409: "This batch has another file already. Begin a new batch for this one.",
  410: "The address of this upload has expired. Begin a new batch.",
  413: "The file is larger than this server takes. Send it in several batches.",
  415: "The server does not take a file of this type. Send one JSON object a line, as UTF-8 text, or as .gz or .zst.",
};
const FINAL = new Set([403, 404, 409, 410]); // neither another try helps nor another file
const OTHER = new Set([400, 413, 415]); // another file may
const CHOOSE = { choose: true }; // what is offered beside the sentence
const RETRY = { again: true };
const SPAN = 5000; // milliseconds over which the speed is taken

class FileUpload extends HTMLElement {
  #file = null;
  #call = null;
  #seen = [];
  #leave = (event) => event.preventDefault();

  connectedCallback() {
    if (this.form) return;
    this.form = this.querySelector("form");
    this.form.hidden = false;
    takeDrops(this, (file) => this.send(file));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const file = this.form.querySelector("input").files[0];
      if (file) this.send(file);
    });
    this.addEventListener("click", (event) => {
      const act = event.target.dataset?.act;
      if (act === "cancel") this.#call?.abort();
      if (act === "retry") this.send(this.#file);
    });
  }

  disconnectedCallback() {
    this.#call?.abort();
  }

  send(file) {
    if (this.#call) return;
    this.#file = file;
    choose(this.form.querySelector("input"), file);
    const largest = Number(this.dataset.largest);
    if (file.size === 0) return this.#refuse("The file is empty. Choose another one.", CHOOSE);
    if (largest && file.size > largest) return this.#refuse(SENTENCES[413], CHOOSE);
    const call = (this.#call = new XMLHttpRequest());
    this.#seen = [];
    call.open("PUT", this.getAttribute("href"));
    call.setRequestHeader("Content-Type", "text/plain");
    call.upload.addEventListener("progress", (event) => this.#show(event.loaded));
    call.addEventListener("load", () => this.#answered(call));
    call.addEventListener("error", () => this.#ended(SENTENCES[0], RETRY));
    const cancelled = `“${file.name}” was not sent: you cancelled it.`;
    call.addEventListener("abort", () => this.#ended(cancelled, { ...CHOOSE, ...RETRY }));
    addEventListener("beforeunload", this.#leave);
    this.dataset.busy = "";
    this.#tell({ sending: true });
    this.querySelector(".what").textContent = `Sending “${file.name}”`;
    this.#show(0);
    call.send(file);
  }

  #ended(problem, offered) {
    removeEventListener("beforeunload", this.#leave);
    delete this.dataset.busy;
    this.#call = null;
    if (problem) this.#refuse(problem, offered);
  }

  #answered(call) {
    this.#ended();
    if (call.status >= 200 && call.status < 300) {
      this.dataset.arrived = "";
      this.#tell({ said: `“${this.#file.name}” has arrived, all ${bytes(this.#file.size)} of it. It is read next.` });
    } else {
      this.#refuse(detail(call), FINAL.has(call.status) ? {} : OTHER.has(call.status) ? CHOOSE : RETRY);
    }
  }

  #refuse(problem, offered) {
    this.#tell({ problem, ...offered });
    if (offered.again) this.querySelector('[data-act="retry"]').focus();
  }

  #tell({ sending = false, problem = "", said = "", choose = false, again = false }) {
    this.form.hidden = !choose;
    this.querySelector(".sending").hidden = !sending;
    put(this.querySelector(".problem"), problem);
    put(this.querySelector(".said"), said);
    this.querySelector(".again").hidden = !again;
  }

  #show(sent) {
    const now = performance.now();
    this.#seen.push([now, sent]);
    while (this.#seen.length > 2 && now - this.#seen[1][0] > SPAN) this.#seen.shift();
    const [since, before] = this.#seen[0];
    const speed = now > since ? (1000 * (sent - before)) / (now - since) : 0;
    const bar = this.querySelector("progress");
    bar.max = this.#file.size;
    bar.value = sent;
    const said = [`${Math.floor((100 * sent) / this.#file.size)} %`, `${bytes(sent)} of ${bytes(this.#file.size)}`];
    if (speed > 0) said.push(`${bytes(speed)}/s`, left((this.#file.size - sent) / speed));
    this.querySelector(".far").textContent = said.join(" · ");
  }
}

class NewBatch extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    const drop = this.querySelector(".drop");
    const input = drop.querySelector("input");
    drop.hidden = false;
    takeDrops(this, (file) => choose(input, file));
    form.addEventListener("submit", (event) => {
      const file = input.files[0];
      if (!file || form.elements.url.value) return; // the next page asks for it, or it is downloaded
      event.preventDefault();
      this.#open(form, file);
    });
  }

  async #open(form, file) {
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!page.querySelector("file-upload")) {
        const said = page.querySelector(".problem:not([hidden])") ?? page.querySelector("main p");
        return put(form.querySelector(".problem"), said?.textContent ?? "The server did not open the batch. Try again.");
      }
      history.replaceState(null, "", answer.url);
      document.title = page.title;
      const main = document.importNode(page.querySelector("main"), true);
      document.querySelector("main").replaceWith(main);
      main.querySelector("file-upload").send(file);
    } catch {
      put(form.querySelector(".problem"), "The server does not answer. Try again in some seconds.");
    } finally {
      button.disabled = false;
    }
  }
}

function takeDrops(element, take) {
  const zone = element.querySelector("[data-drop]");
  for (const type of ["dragenter", "dragover"])
    element.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  for (const type of ["dragleave", "drop"]) element.addEventListener(type, () => zone.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (file) take(file);
  });
}

function choose(input, file) {
  const held = new DataTransfer();
  held.items.add(file);
  input.files = held.files;
}

function put(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

function detail(call) {
  try {
    const { detail } = JSON.parse(call.responseText);
    if (typeof detail === "string") return detail;
  } catch {
    // no answer of Caravan's own
  }
  return SENTENCES[call.status] ?? `The server did not take the file (it answered ${call.status}). Send it again.`;
}

function bytes(number) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (number >= 999.5 && at < 4) [number, at] = [number / 1000, at + 1];
  return `${at && number < 99.5 ? number.toFixed(1) : Math.round(number)} ${units[at]}`;
}

function left(seconds) {
  if (seconds < 1) return "nearly done";
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

customElements.define("file-upload", FileUpload);
customElements.define("new-batch", NewBatch);
