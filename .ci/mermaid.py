"""Turn ```mermaid, which JupyterLab and GitHub draw, into Quarto's ```{mermaid}: Quarto runs this in the folder it renders."""
from pathlib import Path

for p in Path('.').glob('*.ipynb'):
    text = p.read_text(encoding='utf-8')
    if '```mermaid' in text: p.write_text(text.replace('```mermaid', '```{mermaid}'), encoding='utf-8')
