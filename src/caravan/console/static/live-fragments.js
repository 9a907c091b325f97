// <live-fragments src="…">: makes elements of the page, found by id, like the HTML that one stream brings.
// Without it the page is as true as it was when it was loaded. A hidden tab holds no stream; one that breaks off is
// opened again, later each time, at whichever process answers then.
const FIRST = 500; // milliseconds before the first new try
const LONGEST = 20000;

class LiveFragments extends HTMLElement {
  #source = null;
  #timer = 0;
  #tries = 0;
  #ended = false;
  #turn = () => (document.hidden ? this.#close() : this.#open());

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#turn);
    this.#turn();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#turn);
    this.#close();
  }

  #open() {
    if (this.#source || this.#ended || document.hidden) return;
    clearTimeout(this.#timer);
    const source = (this.#source = new EventSource(this.getAttribute("src")));
    source.addEventListener("open", () => this.#tell("live"));
    source.addEventListener("fragments", (event) => {
      this.#tries = 0;
      for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
    });
    source.addEventListener("end", () => {
      this.#ended = true;
      this.#close();
      this.#tell("ended");
    });
    source.addEventListener("error", () => this.#again());
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #again() {
    this.#close();
    if (this.#tries > 0) this.#tell("waiting"); // a stream that ends in its time is opened again without a word
    const longest = Math.min(LONGEST, FIRST * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }

  #tell(state) {
    this.dataset.state = state; // console.css says it in words
  }
}

function replace(id, html) {
  const old = document.getElementById(id);
  const made = document.createElement("template");
  made.innerHTML = html.trim();
  const fresh = made.content.firstElementChild;
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const meant = focused && meaning(focused);
  become(old, document.importNode(fresh, true));
  if (focused && !focused.isConnected) {
    const same = [...(document.getElementById(id)?.querySelectorAll(ACTS) ?? [])].find((each) => meaning(each) === meant);
    same?.focus({ preventScroll: true });
  }
}

// What a person acts with: an element of these is never turned into one that means something else, since a finger may
// be on it.
const ACTS = "a, button, input, select, textarea, summary, form";

function meaning(element) {
  const names = ["href", "name", "type", "action", "formaction"];
  const own = names.map((name) => element.getAttribute(name) ?? "");
  return [element.localName, ...own, element.localName === "form" ? "" : element.textContent.trim()].join("\n");
}

// Makes a node like a fresh one, changing only what differs: what a person typed, opened, focused or holds pressed stays.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!alike(old, fresh)) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) return void (old.nodeValue = fresh.nodeValue);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  const kept = [...old.childNodes];
  const wanted = [...fresh.childNodes]; // a list of its own: those that come into the page leave the fresh node
  wanted.forEach((child, at) => (kept[at] ? become(kept[at], child) : old.append(child)));
  for (const child of kept.slice(wanted.length)) child.remove();
}

function alike(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return false;
  if (old.nodeType !== Node.ELEMENT_NODE) return true;
  if (old.shadowRoot) return false; // made of what it was given (local-time.js)
  return !old.matches(ACTS) || meaning(old) === meaning(fresh);
}

customElements.define("live-fragments", LiveFragments);
