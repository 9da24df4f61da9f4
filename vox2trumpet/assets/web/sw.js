// Keeps the page for times without a network. The export fills in what this version consists of: its parts are small; the
// engine, its weights and the voices are put into the same cache by the page, when it loads them.
const version = 'VERSION', parts = ['PARTS']
const cache = `${registration.scope} ${version}`

addEventListener('install', e => e.waitUntil((async () => {
  await (await caches.open(cache)).addAll(parts)
  await skipWaiting()
})()))

addEventListener('activate', e => e.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith(`${registration.scope} `) && name !== cache) await caches.delete(name)
  await clients.claim()
})()))

addEventListener('fetch', e => {
  if (e.request.method !== 'GET' || !e.request.url.startsWith(registration.scope)) return
  e.respondWith((async () => {
    const kept = await (await caches.open(cache)).match(e.request, {ignoreSearch: true})
    return kept || fetch(e.request)
  })())
})
