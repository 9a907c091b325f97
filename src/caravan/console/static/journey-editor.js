// <journey-editor check="…">: keeps the line numbers of its text, and has the text checked while one types: the answer
// is finished HTML, elements that take the place of those of the same id. Without it, the button Check does the same.
const PAUSE = 400; // milliseconds without a key before the text is checked

class JourneyEditor extends HTMLElement {
  #text = null;
  #timer = 0;
  #call = null;
  #begun = "";
  #leaves = false;
  #typed = () => this.#follow();
  #jumped = (event) => this.#jump(event);
  #left = (event) => {
    if (!this.#leaves && (this.hasAttribute("unsaved") || this.#text.value !== this.#begun)) event.preventDefault();
  };
  #sent = (event) => (this.#leaves = leaves(event)); // the text goes with it, other than into a frame

  connectedCallback() {
    this.#text = this.querySelector("textarea");
    this.#begun = this.#text.value;
    this.#text.addEventListener("input", this.#typed);
    document.addEventListener("click", this.#jumped);
    addEventListener("beforeunload", this.#left);
    this.#text.form.addEventListener("submit", this.#sent);
    this.#number();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    this.#call?.abort();
    document.removeEventListener("click", this.#jumped);
    removeEventListener("beforeunload", this.#left);
  }

  #follow() {
    this.#leaves = false;
    this.#number();
    clearTimeout(this.#timer);
    this.#call?.abort(); // its answer would be about another text
    this.#timer = setTimeout(() => this.#check(), PAUSE);
  }

  // As many numbers as lines; marks come with the next answer.
  #number() {
    const numbers = document.getElementById("lines");
    const lines = this.#text.value.split("\n").length;
    this.#text.rows = lines;
    while (numbers.children.length > lines) numbers.lastElementChild.remove();
    while (numbers.children.length < lines) {
      const line = document.createElement("li");
      line.id = `L${numbers.children.length + 1}`;
      numbers.append(line);
    }
  }

  async #check() {
    const call = (this.#call = new AbortController());
    const base = this.#text.form.elements.base.value;
    const body = new URLSearchParams({ source: this.#text.value, base });
    try {
      const answer = await fetch(this.getAttribute("check"), { method: "POST", body, signal: call.signal, redirect: "error" });
      if (!answer.ok) return;
      const made = document.createElement("template");
      made.innerHTML = await answer.text();
      if (call.signal.aborted) return;
      for (const fresh of [...made.content.children]) replace(fresh);
    } catch {
      // the next key tries again, and Check says what is wrong
    }
  }

  // A link to a line puts the cursor there: the browser itself would take it out of the text.
  #jump(event) {
    const line = Number(event.target.closest?.("a[data-line]")?.dataset.line);
    if (!line) return;
    const before = this.#text.value.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, each) => sum + each.length + 1, 0);
    event.preventDefault();
    document.getElementById(`L${line}`)?.scrollIntoView({ block: "center" });
    this.#text.focus({ preventScroll: true });
    this.#text.setSelectionRange(at, at);
  }
}

function replace(fresh) {
  const old = document.getElementById(fresh.id);
  if (old && !old.isEqualNode(fresh)) old.replaceWith(document.importNode(fresh, true));
}

// Whether a form's submission leaves the page; another one fills a frame of it.
function leaves(event) {
  return !event.submitter?.formTarget;
}

// <message-frames>: fills its frames by itself, one after the other: a form can send itself to one place at a time.
// For the same reason none is filled once a person has sent the form: the browser would drop the person's submission.
class MessageFrames extends HTMLElement {
  static #queue = Promise.resolve();
  static #sent = new WeakSet();

  connectedCallback() {
    const form = this.closest("form");
    form.addEventListener("submit", (event) => leaves(event) && MessageFrames.#sent.add(form));
    for (const button of this.querySelectorAll("button")) {
      MessageFrames.#queue = MessageFrames.#queue.then(() => this.#fill(button));
    }
    MessageFrames.#queue = MessageFrames.#queue.then(() => (this.dataset.filled = ""));
  }

  #fill(button) {
    if (MessageFrames.#sent.has(button.form)) return;
    const frame = button.closest(".frame").querySelector("iframe");
    return new Promise((done) => {
      frame.addEventListener("load", done, { once: true });
      setTimeout(done, 10000);
      button.form.requestSubmit(button);
    });
  }
}

customElements.define("journey-editor", JourneyEditor);
customElements.define("message-frames", MessageFrames);
