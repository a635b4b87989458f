// Our pages allow no style that is written into them, and xterm writes some. So the bundle's `document` is this one (esbuild's
// --inject, and --define for `window.document`): it is the page's, but for style elements, which become style sheets, and for
// `style` attributes, which are set property by property. Both are allowed, because only a script can do them.
const page = globalThis.document;

export function adopt(css) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  page.adoptedStyleSheets = [...page.adoptedStyleSheets, sheet];
  return sheet;
}

function styleElement() {
  const sheet = adopt("");
  const element = page.createElement("template");
  let text = "";
  const written = {
    get: () => text,
    set: (css) => {
      text = css;
      sheet.replaceSync(css);
    },
  };
  Object.defineProperties(element, { textContent: written, innerText: written, sheet: { get: () => sheet } });
  element.remove = () => {
    page.adoptedStyleSheets = page.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}

function spanElement() {
  const element = page.createElement("span");
  element.setAttribute = (name, value) => {
    if (name === "style") element.style.cssText = value;
    else Element.prototype.setAttribute.call(element, name, value);
  };
  return element;
}

const made = { style: styleElement, span: spanElement };

const strict = new Proxy(page, {
  get(target, name) {
    if (name === "createElement") return (tag, options) => made[tag]?.() ?? target.createElement(tag, options);
    const value = target[name];
    return typeof value === "function" ? value.bind(target) : value;
  },
  set: (target, name, value) => Reflect.set(target, name, value),
});

export { strict as document, strict as strictDocument };
