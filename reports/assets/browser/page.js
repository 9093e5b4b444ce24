// The section's elements, and what every file here uses.
//
// The browser of all examples. Its files share one scope, in the order of SCRIPTS in
// harness/report/browser/html.py: each one's duty is said in its first line. The page holds the
// data as compressed blocks: an index, decoded once the page stands, and chunks of texts, decoded
// when an example of theirs is looked at or searched.

const section = document.getElementById("browser");
const parts = {}; // by their data-part
for (const item of section.querySelectorAll("[data-part]")) parts[item.dataset.part] = item;

const filters = [...section.querySelectorAll("[data-filter]")].map((button, place) => ({
  name: button.dataset.filter,
  flag: Number(button.dataset.bit), // of an output; 0: the filter is about something else
  mask: 1 << place,
  button,
}));

// Lets the browser draw and take input before work goes on.
const pause = () => new Promise((resolve) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = resolve;
  channel.port2.postMessage(0);
});

const make = (tag, className, ...children) => {
  const item = document.createElement(tag);
  if (className) item.className = className;
  item.append(...children);
  return item;
};

const button = (words, action) => {
  const item = make("button", "", words);
  item.type = "button";
  item.addEventListener("click", action);
  return item;
};

// A name; a short one stays on one line.
const wholeText = (words) => make("span", words.length <= 24 ? "together" : "", words);

const count = (n) => n.toLocaleString("en");
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

const plainNumber = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
// A value, of 100 where its metric has a scale.
const number = (value, scale, signed = false) => {
  if (Number.isNaN(value)) return "\u2014";
  const shown = scale ? ((100 * value) / scale).toFixed(1) : plainNumber.format(value);
  const text = Number(shown.replaceAll(",", "")) === 0 ? shown.replace("-", "") : shown;
  const sign = signed && Number(shown.replaceAll(",", "")) > 0 ? "+" : "";
  return sign + text.replace("-", "\u2212");
};

const splitOnce = (text, mark) => {
  const place = text.indexOf(mark);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + mark.length)];
};
