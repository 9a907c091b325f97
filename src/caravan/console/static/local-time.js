// <local-time><time datetime="…Z">… UTC</time></local-time>: the moment in the reader's zone, the exact one on hover.
// The text goes into a shadow root, so that what the server sent stays as it is and can be compared (live-fragments.js).
const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

class LocalTime extends HTMLElement {
  connectedCallback() {
    const moment = new Date(this.querySelector("time")?.getAttribute("datetime") ?? "");
    if (this.shadowRoot || Number.isNaN(moment.getTime())) return;
    const time = document.createElement("time");
    time.dateTime = time.title = moment.toISOString();
    time.textContent = shown.format(moment);
    this.attachShadow({ mode: "open" }).append(time);
  }
}

customElements.define("local-time", LocalTime);
