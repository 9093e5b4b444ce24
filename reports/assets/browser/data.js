// Reading the packed data: the index, chunks of texts, and values.

const CACHED_CHUNKS = 12;

let index = null; // the decoded index

const fromBase64 = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
};

const unpack = (id) => {
  const packed = new Blob([fromBase64(document.getElementById(id).textContent)]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};

const parse = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

// Arrays of numbers stay where they are: views on the decoded block.
const readIndex = (buffer) => {
  const length = new DataView(buffer).getUint32(0, true);
  const header = parse(new Uint8Array(buffer, 4, length));
  const base = 4 + length + (-length & 3);
  for (const item of header.tasks) {
    const n = item.ids.length;
    const each = n * item.variants.length;
    const array = (Type, name, size) => new Type(buffer, base + item.arrays[name], size);
    item.n = n;
    item.values = array(Float32Array, "values", each * item.metrics.length);
    item.chars = array(Uint32Array, "chars", each);
    item.groups = array(Uint16Array, "groups", each);
    item.chunk = array(Uint16Array, "chunk", n);
    item.flags = array(Uint8Array, "flags", each);
    item.split = array(Uint8Array, "split", n);
    item.place = new Map(item.ids.map((id, i) => [id, i]));
    item.members = membersOf(item.chunk, header.noChunk);
    item.bare = 0; // examples whose texts had no room in the page
    for (const chunk of item.chunk) item.bare += chunk === header.noChunk;
    item.slot = new Uint16Array(n); // of an example within its chunk
    for (const members of item.members.values()) members.forEach((i, slot) => { item.slot[i] = slot; });
  }
  return header;
};

// Examples by chunk; within a chunk they stand in the order of the data.
const membersOf = (chunks, none) => {
  const found = new Map();
  chunks.forEach((chunk, i) => {
    if (chunk === none) return;
    if (!found.has(chunk)) found.set(chunk, []);
    found.get(chunk).push(i);
  });
  return found;
};

const cache = new Map(); // the chunk last used stands last
const chunkTexts = (chunk) => {
  const found = cache.get(chunk) ?? unpack(`chunk-${chunk}`).then(parse);
  cache.delete(chunk);
  cache.set(chunk, found);
  if (cache.size > CACHED_CHUNKS) cache.delete(cache.keys().next().value);
  return found;
};

const hasTexts = (i) => task.chunk[i] !== index.noChunk;
