// Small pictures that come when they are looked at; knows nothing of what they show.

// Loads what its places show, so many at a time. A browser asks one server for six things at a time,
// and what its visitor does must never wait for these.
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

  // A place in colours of its own, until its picture is there.
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

// A place in colours of its own, of which each text has others.
export function placeholder(text, className) {
  let hue = 7;
  for (const char of text) hue = (hue * 31 + char.codePointAt(0)) % 360;
  const node = document.createElement("div");
  node.className = className;
  node.style.background = `linear-gradient(140deg, hsl(${hue} 55% 60%), hsl(${(hue + 45) % 360} 50% 50%))`;
  return node;
}
