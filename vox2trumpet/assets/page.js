() => {
  const words = [
    [/maximum allowed size of ([\d.]+) .*?: (.*)/, m => `${m[2].replaceAll('"', '')} is too large: this page takes at most ${parseFloat(m[1])} megabytes.`],
    [/Invalid file types?: (.*?)\. Only/, m => `${m[1]} is not a sound file. This page takes wav, flac, ogg and mp3; of a film, save the sound as one of these.`],
    [/currently busy/, () => 'Too many are waiting. Please try again in a minute.'],
    [/"detail": *"(.*?)"/, m => m[1]],
    [/Connection errored out/, () => 'The server does not answer.']]
  const reworded = text => words.reduce((t, [p, f]) => { const m = text.match(p); return m ? f(m) : t }, text)
  const say = (text, waits) => {
    const box = document.getElementById('told')
    if (!box || box.textContent === text) return
    box.className = text ? 'told' + (waits ? ' waits' : '') : ''
    box.textContent = text
  }
  let failed = false
  const look = () => {
    for (const toast of document.querySelectorAll('[data-testid=toast-body]')) {
      say(reworded([...toast.querySelectorAll('[data-testid=toast-text]')].map(o => o.textContent).join(' ')))
      toast.style.display = 'none'
      toast.querySelector('[data-testid=toast-close]')?.click()
    }
    const tracker = document.querySelector('#status [data-testid=status-tracker]:not(.hide)'), play = document.querySelector('#play')
    const error = Boolean(tracker?.querySelector('.error'))
    if (play) play.disabled = Boolean(tracker && !error) // while a transfer waits or runs
    if (error && !failed && !document.querySelector('#told.told:not(.waits)')) say('Something went wrong on the server. Please try another recording.')
    failed = error
    const place = document.querySelector('#status')?.textContent.match(/queue: (\d+)\/(\d+)/)
    if (place) say(`You are number ${place[1]} of ${place[2]} in the queue. Yours begins when a place is free; you need not do anything.`, true)
    else if (document.querySelector('#told.waits')) say('')
  }
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributeFilter: ['class']})
  const clear = e => { if (e.target.closest?.('#voice, #examples, #play')) say('') }
  for (const event of ['click', 'change', 'drop']) document.addEventListener(event, clear, true)
}
