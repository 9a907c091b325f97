// <graph-frame data-middle="…">: shows a graph that is wider than its frame from the step on with which it begins.
class GraphFrame extends HTMLElement {
  connectedCallback() {
    const picture = this.querySelector("svg");
    if (!picture || this.scrollWidth <= this.clientWidth) return;
    const middle = Number(this.dataset.middle) * (picture.clientWidth / picture.viewBox.baseVal.width);
    this.scrollLeft = middle - this.clientWidth / 2;
  }
}

customElements.define("graph-frame", GraphFrame);
