// Beginning: the data is unpacked once the page stands.

const begin = async () => {
  index = readIndex(await unpack("browser-index"));
  await pause();
  enter(0);
  linkPicked();
  listen();
  parts.options.open = !isPhone();
  parts.app.hidden = false;
  parts.plain.hidden = true;
  const target = readHash();
  if (target) await follow(target);
  else {
    refresh();
    await openFirst();
  }
  section.classList.add("ready");
};

// From the examples picked above, which are of the first task, to the same ones here.
const linkPicked = () => {
  for (const title of document.querySelectorAll("#examples .example h3")) {
    if (!task.place.has(title.textContent)) continue;
    const link = make("a", "permalink small", "In the list below");
    link.href = `#example/${encodeURIComponent(task.task)}/${encodeURIComponent(title.textContent)}`;
    title.parentElement.append(link);
  }
};

const fail = (error) => {
  parts.why.textContent = `The examples could not be read here (${error.message}).`;
  parts.plain.hidden = false;
};

// The page is read and drawn first.
const start = () => (window.requestIdleCallback ?? setTimeout)(() => begin().catch(fail), { timeout: 1000 });
if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
