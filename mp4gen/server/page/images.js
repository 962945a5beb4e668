// Loads small images when they become visible, a limited number at a time: a browser sends at most
// six requests to a server at a time, and the user's actions must not wait for images.
export class LazyImages {
  #sources = new WeakMap();
  #pending = new Set();
  #loading = 0;
  #maxConcurrent;
  #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#pending.add(target); else this.#pending.delete(target);
    }
    this.#load();
  }, { rootMargin: "300px" });

  constructor(maxConcurrent) { this.#maxConcurrent = maxConcurrent; }

  // Returns a placeholder that is replaced by the image.
  create(text, className, source) {
    const node = placeholder(text, className);
    this.#sources.set(node, source);
    this.#observer.observe(node);
    return node;
  }

  #load() {
    for (const node of this.#pending) {
      if (this.#loading === this.#maxConcurrent) return;
      this.#pending.delete(node);
      this.#observer.unobserve(node);
      this.#loading += 1;
      const image = new Image();
      image.alt = "";
      image.src = this.#sources.get(node);
      image.decode()
        .then(() => { node.replaceChildren(image); node.style.background = ""; }, () => { node.dataset.failed = ""; })
        .finally(() => { this.#loading -= 1; this.#load(); });
    }
  }
}

// Returns an element whose colours depend on the text.
export function placeholder(text, className) {
  let hue = 7;
  for (const char of text) hue = (hue * 31 + char.codePointAt(0)) % 360;
  const node = document.createElement("div");
  node.className = className;
  node.style.background = `linear-gradient(140deg, hsl(${hue} 55% 60%), hsl(${(hue + 45) % 360} 50% 50%))`;
  return node;
}
