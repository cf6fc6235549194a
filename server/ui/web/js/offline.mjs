// Has a service worker keep the page, so that chats can be read while the server
// is away. Browsers allow that over HTTPS and on the machine itself.

/** @param {URL} base the folder that the page and ui/ are in */
export function keepPage(base) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  const script = new URL("ui/worker.js", base).href;
  // The only policy that the page may have, and all that it makes is this address.
  const policy = globalThis.trustedTypes?.createPolicy("trit", { createScriptURL: () => script });
  serviceWorker.register(policy ? policy.createScriptURL("") : script, { scope: base.pathname, updateViaCache: "none" }).catch(() => {
    // A browser that keeps nothing shows the page all the same.
  });
}
