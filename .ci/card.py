"""Draw nbs/card.png, the picture that links to the site show: a bundled voice's pitch, and the trumpet's partials over it."""
from pathlib import Path
import matplotlib
matplotlib.use('agg')
import numpy as np, torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from vox2trumpet.app import example_voices
from vox2trumpet.decoder import load_model
from vox2trumpet.encoder import encode_file, fit, floor_db

root = Path(__file__).resolve().parent.parent
ink, paper, gold, blue = '#141a26', '#f2f4f8', '#ffb52e', '#a9b6cb'
voice = next(v for v in example_voices() if v.stem == 'sms_vignesh')

trumpet = load_model()
heard = encode_file(voice)
fitted, _ = fit(heard, trumpet.stats)
with torch.inference_mode(): partials, _, _ = trumpet.controls(fitted.f0[None], fitted.loudness[None])
t = np.arange(len(heard.f0))*trumpet.config['hop']/trumpet.config['sr']
strength = (20*np.log10(partials[0].numpy() + 1e-6) + 80).clip(0, 60)/60

fig = Figure(figsize=(12, 6.3), facecolor=ink)
ax = fig.add_axes((0, 0, 1, .69), facecolor=ink)
glow = LinearSegmentedColormap.from_list('glow', [ink, gold])
for k in reversed(range(10)):
    points = np.stack([t, np.where(fitted.loudness.numpy() > floor_db, np.log2((k + 1)*fitted.f0.numpy()), np.nan)], 1)
    lines = np.stack([points[:-1], points[1:]], 1)
    ax.add_collection(LineCollection(lines, colors=glow(strength[1:, k]**2), lw=1 + 5*strength[1:, k], capstyle='round'))
ax.plot(t, np.log2(np.where(heard.periodicity > .5, heard.f0, np.nan)), color=paper, lw=3)
ax.set(xlim=(t[0], t[-1]), ylim=np.log2([float(heard.f0.min())*.72, float(fitted.f0.max())*11]))
ax.axis('off')
fig.text(.05, .815, 'vox2trumpet', color=paper, size=54, weight='bold')
fig.text(.05, .73, 'Sing or hum, and a trumpet plays it.', color=blue, size=25)
fig.text(.95, .82, 'voice', color=paper, size=20, ha='right')
fig.text(.95, .76, 'trumpet', color=gold, size=20, ha='right')

out = root/'nbs'/'card.png'
fig.savefig(out, dpi=100)
Image.open(out).convert('RGB').quantize(64).save(out, optimize=True)
print(f'{out.relative_to(root)}: {out.stat().st_size//1000} kB')
