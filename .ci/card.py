"""The site's pictures and its first two sounds, made by the program itself.

nbs/card.png    what links to the site show: a bundled voice's pitch, and the trumpet's partials over it
nbs/page.png    the web page, after an example was clicked (needs Chromium)
nbs/voice.mp3, nbs/trumpet.mp3   four seconds of a bundled voice, and its trumpet
"""
from pathlib import Path
import shutil, socket, subprocess, sys, tempfile, time, urllib.request
import matplotlib
matplotlib.use('agg')
import numpy as np, torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from vox2trumpet.app import example_voices, transfer
from vox2trumpet.checkpoint import load_model
from vox2trumpet.audio import load_audio, save_audio
from vox2trumpet.core import floor_db
from vox2trumpet.encoder import encode_file
from vox2trumpet.mapping import map_to_instrument
from vox2trumpet.voicing import voicing

nbs = Path(__file__).resolve().parent.parent/'nbs'
ink, paper, gold, blue = '#141a26', '#f2f4f8', '#ffb52e', '#a9b6cb'

def smaller(path):
    Image.open(path).convert('RGB').quantize(64).save(path, optimize=True)
    print(f'{path.name}: {path.stat().st_size//1000} kB')

def card():
    source, trumpet = next(v for v in example_voices() if v.stem == 'sms_vignesh'), load_model()
    voice, _ = encode_file(source)
    controls, _ = map_to_instrument(voice, voicing(voice), trumpet.stats)
    with torch.inference_mode(): partials, _, _ = trumpet.controls(controls.f0[None], controls.loudness[None])
    t = np.arange(len(voice.f0))*trumpet.config['hop']/trumpet.config['sr']
    strength = (20*np.log10(partials[0].numpy() + 1e-6) + 80).clip(0, 60)/60

    fig = Figure(figsize=(12, 6.3), facecolor=ink)
    ax = fig.add_axes((0, 0, 1, .69), facecolor=ink)
    glow = LinearSegmentedColormap.from_list('glow', [ink, gold])
    sounding = controls.loudness.numpy() > floor_db
    for k in reversed(range(10)):
        points = np.stack([t, np.where(sounding, np.log2((k + 1)*controls.f0.numpy()), np.nan)], 1)
        lines = np.stack([points[:-1], points[1:]], 1)
        ax.add_collection(LineCollection(lines, colors=glow(strength[1:, k]**2), lw=1 + 5*strength[1:, k], capstyle='round'))
    ax.plot(t, np.log2(np.where(voice.periodicity > .5, voice.f0, np.nan)), color=paper, lw=3)
    ax.set(xlim=(t[0], t[-1]), ylim=np.log2([float(voice.f0.min())*.72, float(controls.f0.max())*11]))
    ax.axis('off')
    fig.text(.05, .815, 'vox2trumpet', color=paper, size=54, weight='bold')
    fig.text(.05, .73, 'Sing or hum, and a trumpet plays it.', color=blue, size=25)
    fig.text(.95, .82, 'voice', color=paper, size=20, ha='right')
    fig.text(.95, .76, 'trumpet', color=gold, size=20, ha='right')
    fig.savefig(nbs/'card.png', dpi=100)
    smaller(nbs/'card.png')

def sounds(seconds=4, rate=48_000):
    with tempfile.TemporaryDirectory() as tmp:
        transfer(example_voices()[0], Path(tmp)/'trumpet.wav')
        pair = dict(voice=load_audio(example_voices()[0], rate), trumpet=load_audio(Path(tmp)/'trumpet.wav', rate))
    start = int((pair['trumpet'].abs() > .02).nonzero()[0])
    for name, y in pair.items():
        save_audio(nbs/f'{name}.mp3', .9*y[start:start + seconds*rate]/y.abs().max(), rate)
        print(f'{name}.mp3: {(nbs/f"{name}.mp3").stat().st_size//1000} kB')

def page():
    from playwright.sync_api import sync_playwright
    chromium = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)
    if not chromium: print('page.png: not drawn, there is no Chromium here'); return
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([sys.executable, '-c', f'from vox2trumpet.cli import main; main(["app", "--port", "{port}"])'])
    try:
        for _ in range(240):
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}', timeout=5); break
            except OSError: time.sleep(.5)
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
            view = browser.new_page(viewport=dict(width=760, height=1240))
            view.goto(f'http://127.0.0.1:{port}')
            view.get_by_role('button', name='Try').first.click()
            view.locator('#picture svg').first.wait_for(timeout=120_000)
            view.wait_for_timeout(1500)
            view.evaluate("document.querySelector('#head h1').textContent = 'vox2trumpet'") # not every machine has the emoji
            view.screenshot(path=nbs/'page.png')
            browser.close()
    finally: server.terminate(); server.wait()
    smaller(nbs/'page.png')

card()
sounds()
page()
