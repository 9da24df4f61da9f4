// The audio thread. The engine (engine.cpp) hears and plays; this carries samples to it and back, 128 at a time, and
// tells the page twice a frame or so what the engine hears. Nothing here allocates more as time goes on.

const told = 2  // frames in a message to the page
const warm = 60 // blocks of 10 ms

registerProcessor('trumpet', class extends AudioWorkletProcessor {
  constructor({processorOptions: {wasm, weights, readings, partials, set}}) {
    super()
    const e = this.engine = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports
    new Uint8Array(e.memory.buffer).set(new Uint8Array(weights), e.weights_file())
    const fault = e.load(weights.byteLength)
    if (fault) throw new Error(`this is no engine file (fault ${fault})`)
    const floats = (at, n) => new Float32Array(e.memory.buffer, at, n)
    this.input = floats(e.input(), 4096)
    this.output = floats(e.output(), 4096)
    this.warm_up()
    this.obey({set, restart: true})
    this.amplitudes = floats(e.probe(3), partials) // of the frame that sounds
    this.readings = readings.length
    this.hopsAt = readings.indexOf('hops')
    this.hops = 0
    this.frames = new Float32Array(told*this.readings)
    this.framed = 0
    this.grain = Math.round(sampleRate/1000) // samples in a millisecond
    this.grains = new Float32Array(256)      // energies of voice and trumpet, each millisecond
    this.ground = 0
    this.energy = new Float64Array(2)        // of the millisecond that is not over
    this.summed = 0                          // its samples so far
    this.busy = 0
    this.began = null                        // when the first sample was asked for
    this.recording = false
    this.tape = [new Float32Array(4096), new Float32Array(4096)] // voice and trumpet, until they are handed over
    this.taped = 0
    this.port.onmessage = ({data}) => this.obey(data)
    this.port.postMessage({ready: true})
  }

  warm_up() { // browsers translate WebAssembly quickly first, and better where it is used much: let that be over before it counts
    for (let i = 0; i < warm; i++) {
      for (let n = 0; n < 480; n++) this.input[n] = .1*Math.sin(.03*n*(1 + n % 7))
      this.engine.process(480)
    }
  }

  obey({set = [], restart, record}) {
    if (restart) this.engine.start(sampleRate)
    for (const [what, value] of set) this.engine.set(what, value)
    if (record === undefined) return
    this.recording = record
    if (!record) this.hand_over()
  }

  process([[voice]], [[trumpet]]) {
    const now = Date.now(), n = trumpet.length, {input, output} = this
    this.began ??= now - 1000*currentFrame/sampleRate
    if (voice) input.set(voice)
    else input.fill(0, 0, n)
    this.engine.process(n)
    trumpet.set(output.subarray(0, n))
    this.busy += Date.now() - now
    this.measure(n)
    if (this.recording) this.record(n)
    if (this.engine.get(this.hopsAt) !== this.hops) this.tell(now)
    return true
  }

  record(n) {
    this.tape[0].set(this.input.subarray(0, n), this.taped)
    this.tape[1].set(this.output.subarray(0, n), this.taped)
    this.taped += n
    if (this.taped + n > 4096) this.hand_over()
  }

  hand_over() {
    this.port.postMessage({recorded: this.tape.map(t => t.slice(0, this.taped)), last: !this.recording})
    this.taped = 0
  }

  measure(n) { // how loud voice and trumpet are, millisecond by millisecond
    const {input, output, grain, grains, energy} = this
    let [sung, played] = energy
    for (let i = 0; i < n; i++) {
      sung += input[i]*input[i]
      played += output[i]*output[i]
      if (++this.summed < grain) continue
      if (this.ground < grains.length) {
        grains[this.ground++] = sung/grain
        grains[this.ground++] = played/grain
      }
      sung = played = this.summed = 0
    }
    energy[0] = sung
    energy[1] = played
  }

  tell(now) {
    const {engine, frames, readings} = this
    this.hops = engine.get(this.hopsAt)
    for (let i = 0; i < readings; i++) frames[this.framed++] = engine.get(i)
    if (this.framed < frames.length) return
    const late = now - this.began - 1000*currentFrame/sampleRate // ms that the sound has fallen behind the clock
    this.port.postMessage({frames, grains: this.grains.slice(0, this.ground), partials: this.amplitudes.slice(), busy: this.busy, late})
    this.framed = this.ground = 0
  }
})
