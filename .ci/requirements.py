"Write requirements.txt, what a Hugging Face Space installs: settings.ini's base and its extra `app`, at the versions of constraints.txt."
from configparser import ConfigParser
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pathlib import Path
import os

root = Path(__file__).resolve().parent.parent
parser = ConfigParser(delimiters=['='])
parser.read(root/'settings.ini', encoding='utf-8')
settings = parser['DEFAULT']
wanted = [Requirement(r) for r in settings['requirements'].split() + settings['app_requirements'].split()]
tried = [Requirement(l) for l in (root/'constraints.txt').read_text(encoding='utf-8').splitlines() if l and l[0] != '#']

lines = ['# Written by .ci/requirements.py (make readme) from settings.ini and constraints.txt.',
         '--extra-index-url https://download.pytorch.org/whl/cpu']
for r in wanted:
    pins = [t for t in tried if canonicalize_name(t.name) == canonicalize_name(r.name)]
    if not pins: raise SystemExit(f'constraints.txt has no version of {r.name}')
    for pin in pins:
        version = next(iter(pin.specifier)).version
        if version not in r.specifier: raise SystemExit(f'constraints.txt has {pin}, settings.ini wants {r}')
        lines.append(f'{r.name}=={version}' + f' ; {pin.marker}'*bool(pin.marker))

new = root/'requirements.txt.new'
new.write_text('\n'.join(lines) + '\n', encoding='utf-8')
os.replace(new, root/'requirements.txt')
