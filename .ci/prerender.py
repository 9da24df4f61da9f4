"""What Quarto needs changed in the notebooks; it runs this in the folder it renders.

Diagrams: ```mermaid, which JupyterLab and GitHub draw, becomes Quarto's ```{mermaid}.
Players and tables: HTML outputs become raw HTML blocks. For outputs of type text/html Quarto would load require.js and jQuery
from another host; nothing here needs them.
The live instrument: the folder `play`, which becomes a page of the site.
"""
from pathlib import Path
import json
from vox2trumpet.export import export_web

export_web('play')

for path in Path('.').glob('*.ipynb'):
    text = path.read_text(encoding='utf-8')
    notebook = json.loads(text.replace('```mermaid', '```{mermaid}'))
    for cell in notebook['cells']:
        for output in cell.get('outputs', []):
            html = output.get('data', {}).pop('text/html', None)
            if html is not None: output['data'] = {'text/markdown': ['```{=html}\n', ''.join(html), '\n```\n']}
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + '\n', encoding='utf-8')
