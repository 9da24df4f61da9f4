() => {
  const words = [
    [/maximum allowed size of ([\d.]+) .*?: (.*)/, m => `${m[2].replaceAll('"', '')} is too large: this page takes at most ${parseFloat(m[1])} megabytes.`],
    [/Invalid file types?: (.*?)\. Only/, m => `${m[1]} is not a sound file. This page takes wav, flac, ogg and mp3; of a film, save the sound as one of these.`],
    [/Queue is full/, () => 'Too many are waiting just now. Please try again in a minute.']]
  const reworded = text => words.reduce((t, [p, f]) => { const m = text.match(p); return m ? f(m) : t }, text)
  const say = (text, waits) => {
    const box = document.getElementById('told')
    if (!box || box.textContent === text) return
    box.className = text ? 'told' + (waits ? ' waits' : '') : ''
    box.textContent = text
  }
  const look = () => {
    for (const toast of document.querySelectorAll('[data-testid=toast-body]')) {
      say(reworded([...toast.querySelectorAll('[data-testid=toast-text]')].map(o => o.textContent).join(' ')))
      toast.style.display = 'none'
      toast.querySelector('[data-testid=toast-close]')?.click()
    }
    const place = document.querySelector('#status')?.textContent.match(/queue: (\d+)\/(\d+)/)
    if (place) say(`You are number ${place[1]} of ${place[2]} in the queue. Yours begins when a place is free; you need not do anything.`, true)
    else if (document.querySelector('#told.waits')) say('')
  }
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true})
  const clear = e => { if (e.target.closest?.('#voice, #examples, #play')) say('') }
  for (const event of ['click', 'change', 'drop']) document.addEventListener(event, clear, true)
}
