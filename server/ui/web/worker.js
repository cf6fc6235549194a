// Keeps the page itself, and never an answer of the server, for times when the
// server is away. Served beside the folder of the assets, with its name and files
// filled in, so that every version of the page has a worker of its own.
"use strict";

const VERSION = "%ASSETS%";
const FILES = "%FILES%".split(" ");
const BASE = new URL("./", location).href;
const FOLDER = `${BASE}${VERSION}/`;
const PAGES = ["../", "../ui", "./"].map((path) => new URL(path, BASE).href);
const OURS = `trit ${BASE} `; // others of this origin may be behind the same proxy
const CACHE = OURS + VERSION;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...PAGES, ...FILES.map((name) => FOLDER + name)])).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(OURS) && name !== CACHE;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()));
});

/** The page as the server has it now; as it was if there is no server, or only a proxy that misses it. */
async function page(request, url) {
  const kept = () => caches.match(url, { cacheName: CACHE });
  try {
    const response = await fetch(request);
    return (response.status >= 502 && response.status <= 504 && (await kept())) || response;
  } catch (error) {
    const found = await kept();
    if (found) return found;
    throw error;
  }
}

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = request.url.replace(/[?#].*/, "");
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && PAGES.includes(url)) event.respondWith(page(request, url));
  else if (url.startsWith(FOLDER)) event.respondWith(caches.match(url, { cacheName: CACHE }).then((found) => found ?? fetch(request)));
});
