// The page: it opens the audio, moves the controls, and draws. Everything that is heard or played is the engine's, in
// worklet.js. What a control may be set to comes from instrument.json, which the export writes from the package's own options.

const $ = id => document.getElementById(id)
const clamp = (x, low, high) => Math.min(high, Math.max(low, x))
const asked = new URLSearchParams(location.search) // ?rate=44100: a rate other than the device's; ?buffer=0.05: seconds, whatever the device can do

// What the page measures, for the page and for tests; brought up to date fifty times a second while it plays.
const state = window.vox2trumpet = {
  playing: false,    // the engine runs
  source: '',        // microphone, or the name of a voice
  rate: 0,           // samples/s
  note: '',          // of the trumpet; empty while it is silent
  sung: '',          // of the voice
  latency_ms: null,  // from a note of the voice to the trumpet's, in this page: median of those measured
  device_ms: null,   // what browser and sound card add, by their own account
  starved: 0,        // samples that were not ready in time
  load: 0,           // share of one core that the engine takes
  level: -120,       // of the voice, dB
  octave: 0, style: '', calibrating: 0, recording: false, ready: false,
  frames: 0, notes: 0} // heard and begun since this voice began

// ------------------------------------------------------------------------------------------------------------- words

function say(text, wrong = false) {
  const box = $('said')
  box.textContent = text
  box.classList.toggle('wrong', wrong)
}
const secure = 'A browser lends its microphone only to pages from https or from localhost; this page came another way.'
const refusals = {
  NotAllowedError: 'The microphone was refused. Allow it for this page (the sign beside the address), then press Sing again; or hear a voice from a file.',
  SecurityError: secure,
  NotFoundError: 'There is no microphone. Plug one in and press Sing again, or hear a voice from a file.',
  NotReadableError: 'The microphone is there, but another program holds it. Close that program, then press Sing again.',
  OverconstrainedError: 'That microphone is not there any more. Choose another one.',
  AbortError: 'The microphone could not be started. Press Sing to try again.'}

function missing() { // what this browser lacks, in words
  const simd = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11)
  if (!isSecureContext) return secure
  if (!window.AudioWorkletNode) return 'This browser has no AudioWorklet, in which the trumpet plays. Any browser from 2022 or later will do.'
  if (!window.WebAssembly || !WebAssembly.validate(simd)) return 'This browser has no WebAssembly SIMD, which the trumpet needs. Any browser from 2023 or later will do.'
}

// ----------------------------------------------------------------------------------------------------------- loading

const gone = name => () => { throw new Error(`${name} could not be loaded: there is no network, or no server at the other end.`) }
const wait = ms => new Promise(done => setTimeout(done, ms))
let about // instrument.json

async function fetched(name) { // a file of this folder, kept for times without a network; a busy disk is asked once more
  return once(name).catch(() => wait(300).then(() => once(name)))
}

async function once(name) {
  const kept = window.caches && await caches.open(`${new URL('.', location)} ${about.version}`).catch(() => null)
  let answer = kept && await kept.match(name)
  if (!answer) {
    answer = await fetch(name).catch(gone(name))
    if (!answer.ok) throw new Error(`${name} could not be loaded: the server answers ${answer.status}.`)
    if (kept) await kept.put(name, answer.clone()).catch(() => {})
  }
  return answer.arrayBuffer()
}

async function load() { // instrument.json, the engine and its weights
  about = await (await fetch('instrument.json').catch(gone('instrument.json'))).json()
  if (navigator.serviceWorker) navigator.serviceWorker.register('sw.js').catch(() => {})
  return Promise.all([fetched('engine.wasm'), fetched(about.weights)])
}
const lacks = missing(), loading = lacks ? new Promise(() => {}) : load()

// ------------------------------------------------------------------------------------------------------------- audio

let context, node, out, voiceGain, source, stream, rest

if (asked.has('buffer')) $('buffer').append(new Option('as asked for', asked.get('buffer'), true, true))

async function open() { // the audio context with the engine in it
  if (context) return
  const rate = +asked.get('rate')
  context = new AudioContext({latencyHint: +$('buffer').value, ...(rate ? {sampleRate: rate} : {})})
  context.resume() // at once, while the click counts
  const here = context
  const [wasm, weights] = await loading
  await here.audioWorklet.addModule('worklet.js').catch(gone('worklet.js'))
  const options = {wasm, weights, readings: about.readings, partials: 64, set: settings()}
  node = new AudioWorkletNode(here, 'trumpet', {
    outputChannelCount: [1], channelCount: 1, channelCountMode: 'explicit', processorOptions: options})
  await new Promise((ready, wrong) => {
    node.port.onmessage = ({data}) => { if (data.ready) ready(); else heard(data) }
    node.onprocessorerror = () => wrong(new Error('the engine could not be started'))
  })
  out = new GainNode(here, {gain: +$('volume').value})
  voiceGain = new GainNode(here, {gain: +$('voice').value})
  node.connect(out)
  voiceGain.connect(out)
  out.connect(here.destination)
  here.onstatechange = () => {
    if (here !== context || !state.playing || here.state === 'running') return
    say('The system has taken the sound away. Press Sing to go on.', true)
    stop(false)
  }
  state.rate = here.sampleRate
  forget()
}

function forget() { // what was measured
  Object.assign(state, {latency_ms: null, starved: 0, load: 0, frames: 0, notes: 0})
  onsets.length = 0
  grains.length = 0
  Object.assign(clock, {late: null, behind: 0, told: null, base: null, busy: 0, at: 0, starved: []})
}

function connect(from, name) {
  source = from
  source.connect(node)
  source.connect(voiceGain)
  state.source = name
  state.playing = true
  state.device_ms = null
  document.body.classList.add('playing')
  $('calibrate').disabled = $('record').disabled = false
  forget()
  requestAnimationFrame(draw)
}

function stop(told = true) { // silence; told: say so
  if (!context) return
  if (state.recording) record(false)
  if (source) source.disconnect()
  if (source && source.stop) { source.onended = null; source.stop() }
  for (const track of stream?.getTracks() ?? []) { track.onended = null; track.stop() }
  source = stream = null
  state.playing = false
  state.note = state.sung = state.source = ''
  document.body.classList.remove('playing')
  $('calibrate').disabled = $('record').disabled = true
  clearTimeout(rest)
  rest = setTimeout(() => context?.suspend(), 300) // the last note dies away
  buttons()
  if (told) say('')
}

async function begin(what, start) { // stop what plays, and start something else; errors become words
  stop(false)
  busy(true)
  try {
    clearTimeout(rest)
    await open().catch(e => { context?.close(); context = node = null; throw e })
    await context.resume()
    await start()
    say(what)
  } catch (e) {
    stop(false)
    say(refusals[e.name] ?? e.message, true)
  } finally {
    busy(false)
    buttons()
  }
}

async function sing() {
  const device = $('microphone').value
  await begin(`Sing. The ${about.name} listens.`, async () => {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(secure)
    const wanted = {echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1, latency: 0}
    stream = await navigator.mediaDevices.getUserMedia({audio: device ? {...wanted, deviceId: {exact: device}} : wanted})
    const [track] = stream.getAudioTracks()
    track.onended = () => {
      stop(false)
      say('The microphone has gone: unplugged, or taken away by the system. Press Sing when it is back.', true)
    }
    restart('microphone')
    connect(context.createMediaStreamSource(stream), 'microphone')
    list_microphones()
  })
}

async function play(name, read) { // a voice from a file
  await begin(`${name} is playing.`, async () => {
    const bytes = await read()
    const sound = await context.decodeAudioData(bytes).catch(() => {
      throw new Error(`${name} is not a sound that this browser can read; it takes WAV, MP3, FLAC and most others.`)
    })
    const from = new AudioBufferSourceNode(context, {buffer: sound})
    from.onended = async () => {
      await wait(600) // the room
      if (from !== source) return
      stop(false)
      say(`${name} has ended.`)
    }
    restart(name)
    connect(from, name)
    from.start()
  })
}

let listened // the last source: another singer has other dynamics
function restart(name) {
  if (listened === name) return
  if (listened) node.port.postMessage({restart: true, set: settings()})
  listened = name
}

function buttons() {
  const singing = state.source === 'microphone'
  $('sing').querySelector('span').textContent = singing ? 'Stop' : 'Sing'
  $('sing').classList.toggle('on', singing)
  for (const b of document.querySelectorAll('#voices button')) {
    const on = state.source === b.dataset.name
    b.textContent = on ? `Stop ${b.dataset.name}` : `Hear ${b.dataset.name}`
    b.classList.toggle('on', on)
  }
  $('sung').textContent = $('note').textContent = '–'
  $('cents').textContent = ''
}
function busy(yes) { // the buffer stays as it is while something begins or is recorded
  for (const b of document.querySelectorAll('.start button')) b.disabled = yes
  $('buffer').disabled = yes || state.recording
}

async function list_microphones() {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind === 'audioinput' && d.label && d.deviceId !== 'default')
  const chosen = $('microphone').value
  $('microphone').replaceChildren(new Option("the system's own", ''), ...devices.map(d => new Option(d.label, d.deviceId)))
  if (devices.some(d => d.deviceId === chosen)) $('microphone').value = chosen
}

// ---------------------------------------------------------------------------------------------------------- controls

const sign = x => x > 0 ? `+${x}` : `${x}`.replace('-', '−')
const controls = { // option of the engine → element, how its value is shown, and what is set
  octave: {id: 'octave', set: v => v === 'auto' ? [['automatic', 1]] : [['octave', +v]]},
  transpose: {id: 'transpose', shown: v => sign(+v)},
  tuning: {id: 'tuning', shown: v => +v ? `${Math.round(100*v)} %` : 'as sung'},
  key: {id: 'key', set: v => [['key', v ? about.keys[v] : 4095]]},
  a4: {id: 'a4', shown: v => `${v} Hz`},
  style: {id: 'style', set: v => [['style', about.styles.findIndex(s => s.name === v)]]},
  level: {id: 'level-by', shown: v => `${sign(+v)} dB`},
  room: {id: 'room', set: () => [['room', +$('room').checked]]}}

function setting(name) { // a control's value as the engine takes it: numbers of settings, and values
  const {id, set = v => [[name, +v]]} = controls[name]
  return $(id).value === '' && id !== 'key' ? [] : set($(id).value).map(([what, value]) => [about.settings.indexOf(what), value])
}
const settings = () => Object.keys(controls).flatMap(setting)
const send = name => node?.port.postMessage({set: setting(name)})

function show(name) {
  const {id, shown} = controls[name]
  if (!shown) return
  document.querySelector(`output[for=${id}]`).value = shown($(id).value)
  $(id).setAttribute('aria-valuetext', shown($(id).value))
}

const loudness = v => +v ? `${Math.round(100*v)} %` : 'off'
for (const id of ['volume', 'voice']) {
  const turn = () => {
    document.querySelector(`output[for=${id}]`).value = loudness($(id).value)
    $(id).setAttribute('aria-valuetext', loudness($(id).value))
    const gain = id === 'volume' ? out : voiceGain
    gain?.gain.setTargetAtTime(+$(id).value, context.currentTime, .02)
  }
  $(id).oninput = turn
  turn()
}

function fill() { // the controls, from instrument.json
  const o = about.options
  $('octave').append(...o.octave.choices.map(c => new Option(c === 'auto' ? 'automatic' : sign(c), c)))
  for (const name of ['transpose', 'a4', 'level', 'tuning']) {
    const e = $(controls[name].id)
    e.min = Math.max(e.min || -Infinity, o[name].low)
    e.max = Math.min(e.max || Infinity, o[name].high)
  }
  $('tuning').min = o.tuning.low
  $('tuning').max = o.tuning.high
  $('key').append(...Object.keys(about.keys).map(k => new Option(k)))
  $('style').append(...about.styles.map(s => new Option(s.label, s.name)))
  $('style').value = about.style
  $('style').closest('.control').hidden = !about.styles.length
  $('room').closest('.control').hidden = !about.room
  for (const e of document.querySelectorAll('.name')) e.textContent = about.name
  if (about.name !== 'trumpet') $('valves').hidden = true
  for (const name of Object.keys(controls)) {
    show(name)
    $(controls[name].id).addEventListener('input', () => { show(name); send(name) })
  }
  $('key').addEventListener('input', () => { // a key means nothing to a trumpet that plays as sung
    if (!$('key').value || +$('tuning').value) return
    $('tuning').value = 1
    $('tuning').dispatchEvent(new Event('input'))
  })
  $('voices').append(...about.voices.map(v => {
    const b = Object.assign(document.createElement('button'), {type: 'button', disabled: true})
    b.dataset.name = v.name
    b.onclick = () => state.source === v.name ? stop() : play(v.name, () => fetched(v.file))
    return b
  }))
  $('credits').textContent = `Voices: ${about.voices.map(v => `${v.name}, ${v.author} (${v.licence})`).join('; ')}.`
  buttons()
}

$('sing').onclick = () => state.source === 'microphone' ? stop() : sing()
$('microphone').onchange = () => { if (state.source === 'microphone') sing() }
$('calibrate').onclick = () => {
  node.port.postMessage({set: [[about.settings.indexOf('calibrate'), 300]]})
  say('Listening for three seconds: sing softly, then loudly.')
}
const take = file => { if (file && !$('sing').disabled) play(file.name, () => file.arrayBuffer()) }
$('file').onchange = e => { take(e.target.files[0]); e.target.value = '' }
addEventListener('dragover', e => { e.preventDefault(); document.body.classList.add('over') })
addEventListener('dragleave', e => { if (!e.relatedTarget) document.body.classList.remove('over') })
addEventListener('drop', e => {
  e.preventDefault()
  document.body.classList.remove('over')
  take(e.dataTransfer.files[0])
})
addEventListener('visibilitychange', () => {
  if (!document.hidden && state.playing && context.state !== 'running') context.resume()
})
navigator.mediaDevices?.addEventListener?.('devicechange', () => { if (state.playing) list_microphones() })

// --------------------------------------------------------------------------------------------------------- recording

const longest = 300 // s
let tape = []

function record(yes) {
  if (yes === state.recording) return
  if (yes) tape = []
  state.recording = yes
  $('record').textContent = yes ? 'Stop recording' : 'Record'
  $('record').setAttribute('aria-pressed', yes)
  $('buffer').disabled = yes
  node.port.postMessage({record: yes})
}
$('record').onclick = () => record(!state.recording)

function recorded(blocks, last) {
  tape.push(blocks)
  if (state.recording && tape.length*blocks[0].length > longest*state.rate) record(false)
  if (!last) return
  const join = i => { // one sound from its blocks
    const y = new Float32Array(tape.reduce((n, b) => n + b[i].length, 0))
    tape.reduce((at, b) => { y.set(b[i], at); return at + b[i].length }, 0)
    return y
  }
  const [voice, trumpet] = [join(0), join(1)]
  tape = []
  for (const [id, channels] of [['trumpet-file', [trumpet]], ['both-file', [voice, trumpet]]]) {
    URL.revokeObjectURL($(id).href)
    $(id).href = URL.createObjectURL(wav(channels, state.rate))
  }
  $('again').src = $('trumpet-file').href
  $('recorded').hidden = false
  say(`Recorded ${(trumpet.length/state.rate).toFixed(1)} seconds.`)
}

function wav(channels, rate) { // 16 bits; softer as a whole if it would clip
  const n = channels[0].length, k = channels.length, view = new DataView(new ArrayBuffer(44 + 2*k*n))
  const peak = channels.reduce((m, c) => c.reduce((m, x) => Math.max(m, Math.abs(x)), m), 1)
  const text = (at, s) => [...s].forEach((c, i) => view.setUint8(at + i, c.charCodeAt()))
  text(0, 'RIFF'); view.setUint32(4, 36 + 2*k*n, true); text(8, 'WAVEfmt '); view.setUint32(16, 16, true)
  view.setUint16(20, 1, true); view.setUint16(22, k, true); view.setUint32(24, rate, true); view.setUint32(28, 2*k*rate, true)
  view.setUint16(32, 2*k, true); view.setUint16(34, 16, true); text(36, 'data'); view.setUint32(40, 2*k*n, true)
  for (let i = 0; i < n; i++) for (let c = 0; c < k; c++) view.setInt16(44 + 2*(k*i + c), Math.round(32767*channels[c][i]/peak), true)
  return new Blob([view], {type: 'audio/wav'})
}

// --------------------------------------------------------------------------------------------------------- measuring

const grains = [] // energies of voice and trumpet, each millisecond, the last second
const onsets = [] // delays that were measured, ms
const clock = {} // what `measure_clock` remembers; emptied by `forget`

function measure_onset() { // a note that began abruptly 250 ms ago: when voice and trumpet reached half of what they are now
  const n = grains.length/2, at = n - 250 // about where the gate opened
  if (at < 200) return
  const power = (i, which) => { // over 5 ms
    let sum = 0
    for (let k = 0; k < 5; k++) sum += grains[2*(i - k) + which]
    return sum/5
  }
  const began = which => {
    const now = Array.from({length: 120}, (_, i) => power(at + 100 + i, which)).sort((a, b) => a - b)[60]
    let i = at - 150
    if (now < 1e-8 || power(i, which) > now/40) return null // not from silence
    while (i < at + 100 && power(i, which) < now/4) i++
    let early = i
    while (early > at - 150 && power(early, which) > now/40) early--
    return i - early < 40 || which ? i : null // not swelling
  }
  const [voice, trumpet] = [began(0), began(1)]
  if (voice === null || trumpet === null || trumpet < voice || trumpet - voice > 150) return
  onsets.push(trumpet - voice)
  if (onsets.length > 25) onsets.shift()
  state.latency_ms = [...onsets].sort((a, b) => a - b)[onsets.length >> 1]
}

function measure_clock({busy: worked, late}) { // how much of a core the engine takes, and samples that were late
  clock.late ??= late
  if (late > clock.late + 20) clock.behind += Math.round((late - clock.late)*state.rate/1000)
  if (late > clock.late + 20 || late < clock.late) clock.late = late
  const stats = context.playbackStats // what the browser counted itself; it brings that up to date once a second
  clock.told ??= stats?.totalDuration
  if (clock.base === null && stats?.totalDuration > clock.told) clock.base = stats.underrunDuration - clock.behind/state.rate
  state.starved = clock.base === null ? clock.behind : Math.round((stats.underrunDuration - clock.base)*state.rate)
  if (!clock.at) { clock.at = context.currentTime; clock.busy = worked }
  else if (context.currentTime - clock.at > 2) {
    state.load = (worked - clock.busy)/1000/(context.currentTime - clock.at)
    clock.at = context.currentTime
    clock.busy = worked
  }
  const track = stream?.getAudioTracks()[0]
  state.device_ms = 1000*((context.baseLatency || 0) + (context.outputLatency || 0) + (track?.getSettings().latency || 0))
}

const name_of = hz => { const m = Math.round(69 + 12*Math.log2(hz/+$('a4').value)); return `${about.notes[m % 12]}${Math.floor(m/12) - 1}` }
const columns = [] // frames that are not drawn yet
const opened = []  // frames at which a note began, to be measured a little later
let partials = new Float32Array(64), now = {}

function heard({frames, grains: energies, partials: p, recorded: blocks, last, ...rest}) { // from the worklet
  if (blocks) return recorded(blocks, last)
  if (!frames || !state.playing) return
  const many = about.readings.length
  for (const e of energies) grains.push(e)
  if (grains.length > 4000) grains.splice(0, grains.length - 2000)
  for (let at = 0; at < frames.length; at += many) {
    const was = now
    now = Object.fromEntries(about.readings.map((name, i) => [name, frames[at + i]]))
    columns.push(now)
    state.frames++
    if (now.open && !was.open) { opened.push(state.frames); state.notes++ }
    if (was.calibrating && !now.calibrating) say(`Learned. The octave is ${sign(now.octave)}.`)
    if (opened.length && state.frames >= opened[0] + 25) { if (now.open) measure_onset(); opened.shift() }
  }
  if (columns.length > 3000) columns.splice(0, columns.length - 3000) // in the background nobody draws
  partials = p
  measure_clock(rest)
  const plays = now.played_db > -110
  Object.assign(state, {
    note: plays ? name_of(now.played_hz) : '', sung: now.sounding ? name_of(now.input_hz) : '', level: now.input_db,
    octave: now.octave, style: about.styles[now.style]?.name ?? '', calibrating: now.calibrating/100})
  enough()
}

function enough() { // a device that cannot keep up gets a larger buffer
  if (state.frames < 200 || asked.has('buffer') || state.recording) return // it had to begin; or it is not the time
  clock.starved.push(state.starved)
  if (clock.starved.length < 250) return // 5 s
  const since = state.starved - clock.starved.shift(), larger = $('buffer').selectedIndex + 1
  if (since < .1*state.rate || larger >= $('buffer').length || state.source !== 'microphone') return
  $('buffer').selectedIndex = larger
  reopen()?.then(() => say(`This device is slow, so the sound got a buffer of ${1000*$('buffer').value} ms.`))
}

function reopen() { // the audio context, with another buffer; a singer goes on, a file stops
  const old = context, singing = state.source === 'microphone'
  if (!old) return
  stop(!singing)
  clearTimeout(rest)
  context = node = null
  listened = null
  old.close()
  if (singing) return sing()
}
$('buffer').onchange = reopen

// ----------------------------------------------------------------------------------------------------------- drawing

// A frame is a column. The newest one moves over the picture and begins again at the left: little is drawn at a time, which
// spares a phone, and nothing scrolls for those who do not like that.
const roll = $('roll'), past = $('past'), keyboard = $('keys'), bars = $('spectrum'), gap = 24
const ground = document.createElement('canvas')
const lowest = 36, highest = 88, keys_wide = 62, names_wide = 20, ribbon = 40 // C2 … E6; pixels
const black = m => [1, 3, 6, 8, 10].includes(m % 12)
const colours = {night: '#161b26', row: '#1b2130', line: '#2a3348', text: '#a9b6cb', voice: '#7fa6d9', gold: '#ffb52e', ivory: '#ece7db', ebony: '#10141d'}
const still = matchMedia('(prefers-reduced-motion: reduce)')
let wide = 0, tall = 0, column = 0, before = null, drawn = 0, read = 0, marked = '', pen, gold
const heights = new Float32Array(64)

const row = () => (tall - ribbon)/(highest - lowest + 1)
const level_of = m => (highest + .5 - m)*row() // the middle of a note's row, from the top
const midi = hz => 69 + 12*Math.log2(hz/440)

function sized(canvas, w, h) { // a canvas of so many CSS pixels, and its pen
  const scale = devicePixelRatio || 1, pen = canvas.getContext('2d', {alpha: false})
  canvas.width = Math.round(w*scale)
  canvas.height = Math.round(h*scale)
  pen.setTransform(canvas.width/w, 0, 0, canvas.height/h, 0, 0)
  return pen
}

let size = ''
function lay_out() { // to the size that the style sheet gives
  if (size === (size = `${roll.clientWidth} ${roll.clientHeight} ${bars.clientWidth} ${devicePixelRatio}`)) return
  const old = past.cloneNode(), was = wide
  old.getContext('2d').drawImage(past, 0, 0)
  wide = Math.max(50, Math.floor(roll.clientWidth - keys_wide))
  tall = roll.clientHeight
  const g = sized(ground, 1, tall)
  g.fillStyle = colours.night
  g.fillRect(0, 0, 1, tall)
  for (let m = lowest; m <= highest; m++) {
    g.fillStyle = colours.row
    if (!black(m)) g.fillRect(0, level_of(m) - row()/2, 1, row())
    g.fillStyle = colours.line
    if (m % 12 === 0) g.fillRect(0, level_of(m) + row()/2 - .5, 1, 1)
  }
  g.fillStyle = colours.line
  g.fillRect(0, tall - ribbon, 1, 1)
  pen = sized(past, wide, tall)
  past.style.width = `${wide}px`
  pen.drawImage(ground, 0, 0, wide, tall)
  if (was) pen.drawImage(old, 0, 0, was, tall) // the past is kept when the window changes
  column %= wide
  before = null
  marked = ''
  paint_keys()
  const p = sized(bars, bars.clientWidth, bars.clientHeight)
  gold = p.createLinearGradient(0, bars.clientHeight, 0, 0)
  gold.addColorStop(0, '#7a4a00')
  gold.addColorStop(.6, '#d98a00')
  gold.addColorStop(1, '#ffe1a0')
  paint_partials()
}

function paint_keys() { // white keys meet in the middle of the black ones; those that sound are coloured
  const plays = now.played_db > -110 && state.playing ? Math.round(midi(now.played_hz)) : 0
  const sings = now.sounding && state.playing ? Math.round(midi(now.input_hz)) : 0
  if (marked === `${plays} ${sings}`) return
  marked = `${plays} ${sings}`
  const k = sized(keyboard, keys_wide, tall), notes = Array.from({length: highest - lowest + 1}, (_, i) => lowest + i)
  k.fillStyle = colours.night
  k.fillRect(0, 0, keys_wide, tall)
  for (const m of notes.filter(m => !black(m))) {
    const top = level_of(m) - row()*(black(m + 1) ? 1 : .5), bottom = level_of(m) + row()*(black(m - 1) ? 1 : .5)
    k.fillStyle = m === plays ? colours.gold : m === sings ? colours.voice : colours.ivory
    k.fillRect(names_wide, top + .5, keys_wide - names_wide, bottom - top - 1)
  }
  for (const m of notes.filter(black)) {
    k.fillStyle = m === plays ? colours.gold : m === sings ? colours.voice : colours.ebony
    k.fillRect(names_wide, level_of(m) - row()/2, .6*(keys_wide - names_wide), row())
  }
  k.font = '600 11px system-ui, sans-serif'
  k.textBaseline = 'middle'
  k.fillStyle = colours.text
  for (const m of notes) if (m % 12 === 0) k.fillText(`C${m/12 - 1}`, 2, Math.min(level_of(m), tall - ribbon - 7))
}

function add_column(f) { // a frame
  const x = column, p = pen
  p.drawImage(ground, (x + gap) % wide, 0, 1, tall)
  const bar = (db, colour, low) => {
    const h = clamp((db - low)/60, 0, 1)*(ribbon - 6)
    p.fillStyle = colour
    p.fillRect(x, tall - h, 1, h)
  }
  bar(f.input_db, '#3d5273', -70)
  if (f.played_db > -110) bar(f.played_db, '#b97a10', -62)
  const trace = (from, to, colour, thick) => { // what joins two frames
    const high = Math.min(level_of(from), level_of(to)) - thick/2
    p.fillStyle = colour
    p.fillRect(x, high, 1, Math.abs(level_of(from) - level_of(to)) + thick)
  }
  const sung = f.sounding ? midi(f.input_hz) : null, played = f.played_db > -110 ? midi(f.played_hz) : null
  const near = (a, b) => a !== null && a !== undefined && Math.abs(a - b) < 2 ? a : b
  if (sung !== null) trace(near(before?.sung, sung), sung, colours.voice, 2)
  if (played !== null) {
    const thick = 2 + 5*clamp((f.played_db + 50)/45, 0, 1)
    trace(near(before?.played, played), played, '#ffb52e40', thick + 4)
    trace(near(before?.played, played), played, colours.gold, thick)
  }
  before = {sung, played}
  column = (column + 1) % wide
}

function paint_partials() {
  const w = bars.clientWidth, h = bars.clientHeight, many = w < 500 ? 24 : 40, step = w/many, p = bars.getContext('2d', {alpha: false})
  p.fillStyle = colours.night
  p.fillRect(0, 0, w, h)
  p.fillStyle = gold
  for (let k = 0; k < many; k++) {
    heights[k] = Math.max(clamp((90 + 20*Math.log10(partials[k] + 1e-9))/70, 0, 1), heights[k] - .06)
    const high = Math.max(1.5, heights[k]*(h - 8))
    p.fillRect(k*step + .15*step, h - high, .7*step, high)
  }
}

const fingers = ['', '12', '1', '2', '', '1', '2', '', '23', '12', '1', '2'] // written C5 … B5: valves of a trumpet
const lower = {54: '123', 55: '13', 56: '23', 57: '12', 58: '1', 59: '2', 60: '', 61: '123', 62: '13', 63: '23', 64: '12', 65: '1', 66: '2', 67: '', 68: '23', 69: '12', 70: '1', 71: '2'}

const put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text }

function write() { // the figures beside the picture, ten times a second
  const plays = state.note !== '', pitch = plays ? midi(now.played_hz*440/+$('a4').value) : 0, written = Math.round(pitch) + 2
  put('note', plays ? state.note : '–')
  put('cents', plays ? `${sign(Math.round(100*(pitch - Math.round(pitch))))} cents` : '')
  put('sung', state.sung || '–')
  put('moved', sign(state.octave))
  $('level').value = clamp(Math.round(state.level), -60, 0)
  put('delay', (state.latency_ms === null ? '…' : `${Math.round(state.latency_ms)} ms`) + (state.device_ms ? ` + ${Math.round(state.device_ms)} ms` : ''))
  put('dropped', state.rate ? `${(state.starved/state.rate).toFixed(2)} s` : '–')
  const down = plays ? lower[written] ?? fingers[((written % 12) + 12) % 12] : ''
  $('valves').querySelectorAll('i').forEach((v, i) => v.classList.toggle('down', down.includes(i + 1)))
  put('calibrate', state.calibrating ? `Sing: ${Math.ceil(state.calibrating)} …` : 'Learn my voice: 3 seconds')
}

function draw(time) {
  if (state.playing || columns.length) requestAnimationFrame(draw)
  if (!columns.length || time - drawn < (still.matches ? 250 : 45)) return // more pictures a second would cost as much as the sound
  drawn = time
  for (const f of columns.splice(0).slice(-wide)) add_column(f)
  paint_keys()
  paint_partials()
  if (time - read < 100) return
  read = time
  write()
}

// ------------------------------------------------------------------------------------------------------------- begin

new ResizeObserver(lay_out).observe(roll)
for (const c of [past, keyboard, bars]) c.addEventListener('contextrestored', () => { size = ''; lay_out() }) // a canvas comes back empty

if (lacks) say(lacks, true)
else loading.then(() => {
  fill()
  busy(false)
  state.ready = true
  say('')
  for (const v of about.voices) fetched(v.file) // for times without a network
}).catch(e => say(e.message, true))
