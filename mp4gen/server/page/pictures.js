// Small pictures that come when they are looked at; knows nothing of what they show.

// A browser asks one server for six things at a time. Two are enough for these, so that what its
// visitor does never waits for them.
const AT_ONCE = 2;

const sources = new WeakMap();
const sought = new Set();
let loading = 0;

const sights = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting) sought.add(target); else sought.delete(target);
  }
  load();
}, { rootMargin: "300px" });

// A place in colours of its own, of which each text has others.
export function tinted(text, className) {
  let hue = 7;
  for (const char of text) hue = (hue * 31 + char.codePointAt(0)) % 360;
  const node = document.createElement("div");
  node.className = className;
  node.style.background = `linear-gradient(140deg, hsl(${hue} 55% 60%), hsl(${(hue + 45) % 360} 50% 50%))`;
  return node;
}

// The same, until its picture is there.
export function picture(text, className, source) {
  const node = tinted(text, className);
  sources.set(node, source);
  sights.observe(node);
  return node;
}

function load() {
  for (const node of sought) {
    if (loading === AT_ONCE) return;
    sought.delete(node);
    sights.unobserve(node);
    loading += 1;
    const image = new Image();
    image.alt = "";
    image.src = sources.get(node);
    image.decode()
      .then(() => { node.replaceChildren(image); node.style.background = ""; }, () => { node.dataset.failed = ""; })
      .finally(() => { loading -= 1; load(); });
  }
}
