"""Write README.md from nbs/index.ipynb: its text, its code and its printed results.

Hidden cells are left out, and so are players and pictures made by cells, which are for the site; players in the text become links.
"""
from pathlib import Path
import os, re, nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).resolve().parent.parent
nb = nbformat.read(root/'nbs'/'index.ipynb', as_version=4)
front = [c.source for c in nb.cells if c.cell_type == 'raw']
nb.cells = [c for c in nb.cells if c.cell_type != 'raw' and not c.source.startswith(('#| hide', '#|hide', '#| default_exp'))]
for c in nb.cells:
    if c.cell_type != 'code': continue
    tables = [o.data['text/markdown'] for o in c.outputs if 'text/markdown' in o.get('data', {})]
    c.outputs = [o for o in c.outputs if o.output_type == 'stream']
    if c.source.startswith('#| echo: false'): c.cell_type, c.source = 'markdown', '\n\n'.join(tables)
    c.source = '\n'.join(l for l in c.source.splitlines() if not l.startswith('#|'))
text, _ = MarkdownExporter().from_notebook_node(nb)

def as_links(html): # GitHub shows no players
    players = re.findall(r'src="([^"]+)" aria-label="([^"]+)"', html)
    return ' · '.join(f'▶ [{name}](nbs/{file})' for file, name in players)

text = re.sub(r'<div class="buttons">\n(.*?)\n</div>', lambda m: re.sub(r'<a[^>]*href="([^"]+)">(.*?)</a>\n?', r'**[\2](\1)** · ', m[1]).rstrip(' ·'), text, flags=re.S)
text = re.sub(r'<div class="pair">.*?</div>', lambda m: as_links(m[0]), text, flags=re.S)
text = re.sub(r'\]\((\w+\.(ipynb|png))', r'](nbs/\1', text)          # the README stands one folder higher
text = re.sub(r'```\n(?=from |report)', '```python\n', text)
text = re.sub(r'\n{3,}', '\n\n', text)
new = root/'README.md.new'
new.write_text('\n\n'.join([*front, '# vox2trumpet', text.strip()]) + '\n', encoding='utf-8')
os.replace(new, root/'README.md')
