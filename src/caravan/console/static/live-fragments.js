// <live-fragments src="…">: replaces elements of the page by id with the HTML that one stream brings, if they differ.
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
  if (!old || !fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(document.importNode(fresh, true));
  if (focused) again(document.getElementById(id), focused)?.focus({ preventScroll: true });
}

// The element of the new fragment that does what the focused one of the old one did.
function again(fragment, focused) {
  const same = (each) =>
    each.localName === focused.localName && each.textContent === focused.textContent &&
    each.getAttribute("href") === focused.getAttribute("href");
  return [...fragment.querySelectorAll("a, button, input, select, summary")].find(same);
}

customElements.define("live-fragments", LiveFragments);
