"""What can be checked of the documentation without Quarto; exit code 0 if it holds, 77 if it could not be tried.

pages      nbdev processes every notebook as for the site; then front matter, sidebar, links, anchors, pictures
formulas   Mermaid and KaTeX, from npm, draw every diagram and set every formula in Chromium
screens    every notebook as HTML in Chromium, on a phone and on a desk: widths, alt texts, players, no other host

`pages` and `screens` take a folder as well: what nbdev makes of the notebooks is kept there, and taken from there.
"""
import json, re, shutil, subprocess, sys, tempfile
from configparser import ConfigParser
from functools import lru_cache
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from packaging.specifiers import SpecifierSet

root = Path(__file__).resolve().parent.parent
settings = ConfigParser(delimiters=['='])
settings.read(root/'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']
site = settings['doc_host'] + settings['doc_baseurl'] + '/'
patience = 600_000 # ms, for what a browser does: only a hang takes so long
markdown = MarkdownIt('commonmark').enable('table').use(dollarmath_plugin)
problems, counted = [], {}

def wrong(where, what): problems.append(f'{where}: {what}')
def count(what): counted[what] = counted.get(what, 0) + 1

@lru_cache
def in_git():
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=root, capture_output=True, text=True).stdout
    return {root/name for name in listed.split('\0') if name}

def tracked(path): # by git
    return bool(path) and (root/path).resolve() in in_git()

# ---- what a text holds

def tokens(text):
    for t in markdown.parse(text):
        yield t
        yield from (t.children or [])

class Tags(HTMLParser):
    "Links and pictures of raw HTML."
    def __init__(self, html): super().__init__(); self.found = []; self.feed(html)
    def handle_starttag(self, tag, attrs):
        words = dict(attrs).get('alt') if tag == 'img' else 'a player'
        self.found += [(k, v or '', words) for k, v in attrs if k in ('href', 'src')]

def links(text):
    "Every link and picture of a text: kind, target, words."
    for t in tokens(text):
        if t.type == 'link_open': yield 'href', t.attrs['href'], None
        elif t.type == 'image': yield 'src', t.attrs['src'], t.content
        elif t.type in ('html_block', 'html_inline'): yield from Tags(t.content).found

def headings(text):
    inline = False
    for t in markdown.parse(text):
        if t.type == 'heading_open': inline = True
        elif inline: yield ''.join(c.content for c in t.children if c.type in ('text', 'code_inline', 'softbreak')); inline = False

def pandoc_id(heading): # https://pandoc.org/MANUAL.html#extension-auto_identifiers
    s = re.sub(r'[^\w\s.-]', '', heading).strip().lower()
    return re.sub(r'^[^a-z]+', '', re.sub(r'\s+', '-', s)) or 'section'

def github_id(heading): return re.sub(r'[^\w -]', '', heading.strip().lower()).replace(' ', '-')

def crowded(text):
    "Lists, tables and headings that follow a paragraph without a blank line: Pandoc takes them for part of it."
    blocks = [t for t in markdown.parse(text) if t.level == 0 and t.map and t.nesting >= 0]
    starts = ('bullet_list_open', 'ordered_list_open', 'table_open', 'heading_open', 'blockquote_open')
    lines = text.splitlines()
    return [lines[b.map[0]] for a, b in zip(blocks, blocks[1:])
            if a.type == 'paragraph_open' and b.type in starts and a.map[1] == b.map[0]]

# ---- notebooks

def read(path): return json.loads(Path(path).read_text(encoding='utf-8'))['cells']

def texts(cells):
    "Markdown of a notebook: its text, and what its cells answered in Markdown or HTML."
    for c in cells:
        if c['cell_type'] == 'markdown': yield ''.join(c['source'])
        for o in c.get('outputs', []):
            for kind in ('text/markdown', 'text/html'):
                if kind in o.get('data', {}): yield ''.join(o['data'][kind])

def front_matter(text):
    m = re.match(r'---\n(.*?)\n---', text, re.S)
    try: return yaml.safe_load(m[1]) if m else {}
    except yaml.YAMLError as e: return {'problem': str(e)}

def process(folder):
    "What `nbdev_docs` does before it calls Quarto: the notebooks as they go to the site."
    if made := sorted(folder.glob('*.ipynb')): return {p.name: read(p) for p in made}
    from nbdev.processors import FilterDefaults
    from nbdev.serve_drv import main
    for p in sorted((root/'nbs').glob('*.ipynb')):
        try: main((p, folder/p.name, FilterDefaults))
        except Exception as e:
            wrong(p.name, f'nbdev cannot process it (it runs exported cells and cells that import): {" ".join(str(e).split())[:200]}')
            shutil.copy(p, folder)
    subprocess.run([sys.executable, root/'.ci'/'prerender.py'], cwd=folder, check=True)
    return {p.name: read(p) for p in sorted(folder.glob('*.ipynb'))}

def check_url(where, url):
    parts = urlsplit(url)
    if parts.scheme == 'mailto': return
    if parts.scheme not in ('http', 'https') or '.' not in parts.netloc or re.search(r'\s', url): wrong(where, f'odd address {url}')

@lru_cache
def symbols():
    "Names that nbdev links to; those exported without documentation have no heading of their own."
    text = (root/'vox2trumpet'/'_modidx.py').read_text(encoding='utf-8')
    return {name.lower() for name in re.findall(r"html#([\w.]+)'", text)}

def check_links(name, text, folder, anchors, pages):
    for kind, target, words in links(text):
        count('pictures' if kind == 'src' else 'links')
        if kind == 'src' and not words: wrong(name, f'a picture without words: {target[:60]}')
        if target.startswith('data:'): continue
        own = target.startswith(site)
        if own: target = re.sub('^(?=#|$)', 'index.html', target[len(site):])
        elif urlsplit(target).scheme: check_url(name, target); continue
        path, _, anchor = unquote(target).partition('#')
        if path == 'play/': continue # `prerender.py` makes it
        file = (root/'nbs'/pages.get(path, path) if own else folder/(path or name)).resolve()
        if not file.exists(): wrong(name, f'nothing is at {target}'); continue
        if not tracked(file): wrong(name, f'git does not know {target}')
        if anchor and file.name in anchors and anchor.lower() not in anchors[file.name] | symbols(): wrong(name, f'no heading for {target}')

def check_space(front):
    "The front matter that Hugging Face reads."
    pins = dict(re.findall(r'^([\w.-]+)==([\w.]+)$', (root/'requirements.txt').read_text(encoding='utf-8'), re.M))
    wanted = {'sdk': 'gradio', 'sdk_version': pins['gradio'], 'app_file': 'app.py', 'emoji': '🎺', 'colorFrom': 'blue', 'colorTo': 'indigo'}
    for k, v in wanted.items():
        if front.get(k) != v: wrong('README.md', f'{k} is {front.get(k)!r}, not {v!r}')
    if not tracked(front.get('app_file', '')): wrong('README.md', 'its app_file is not there')
    if str(front.get('python_version')) not in SpecifierSet('>=' + settings['min_python']): wrong('README.md', 'its python_version is too old')

def listed(item):
    if isinstance(item, str): return [item]
    if isinstance(item, list): return [o for i in item for o in listed(i)]
    return listed(item['contents']) if 'contents' in item else [item['href']] if 'href' in item else []

def check_site(config, names):
    "Sidebar and files of `_quarto.yml`."
    web = config['website']
    shown = [o for o in listed(web['sidebar']['contents']) if '://' not in o]
    for n in names:
        if n not in ('06c_browser.ipynb', '06l_instrument.ipynb') and shown.count(n) != 1: wrong('_quarto.yml', f'{n} is {shown.count(n)} times in the sidebar')
    for n in set(shown) - set(names): wrong('_quarto.yml', f'the sidebar has {n}, which is not there')
    html = config['format']['html']
    styles = [o for o in [html['css'], *html['theme']['light'], *html['theme']['dark']] if '.' in o]
    for f in (web['favicon'], web['open-graph']['image'], web['twitter-card']['image'], *styles):
        if not tracked(root/'nbs'/f): wrong('_quarto.yml', f'{f} is not in nbs')

def pages(folder):
    cells = process(folder)
    if not (folder/'play'/'index.html').exists(): wrong('play', 'the live instrument is not among the pages')
    sources = {p.name: read(p) for p in sorted((root/'nbs').glob('*.ipynb'))}
    fronts = {n: front_matter(''.join(c[0]['source'])) for n, c in cells.items()}
    output = {fronts[n].get('output-file', n.replace('.ipynb', '.html')): n for n in cells}
    anchors = {n: {pandoc_id(h) for t in texts(c) for h in headings(t)} for n, c in cells.items()}
    for name, front in fronts.items():
        count('notebooks')
        for k in ('title', 'description')[:1 if name == 'index.ipynb' else 2]: # index says what it is in its text, for GitHub as well
            if front and not front.get(k): wrong(name, f'its front matter has no {k}')
        if 'problem' in front: wrong(name, front['problem'])
        for text in texts(cells[name]): check_links(name, text, root/'nbs', anchors, output)
        for c in sources[name]:
            for line in crowded(''.join(c['source'])) if c['cell_type'] == 'markdown' else []: wrong(name, f'needs a blank line before it: {line}')
            for o in c.get('outputs', []):
                if 'application/vnd.jupyter.widget-view+json' in o.get('data', {}): wrong(name, 'a widget is kept as an output: the site cannot show it')
                if o['output_type'] == 'error': wrong(name, 'an error is kept as an output')
        if any('```mermaid' in t for t in texts(cells[name])): wrong(name, 'a diagram that Quarto would not draw')
    readme = (root/'README.md').read_text(encoding='utf-8')
    body = re.sub(r'\A---.*?\n---\n', '', readme, flags=re.S)
    check_links('README.md', body, root, anchors | {'README.md': {github_id(h) for h in headings(body)}}, output)
    check_space(front_matter(readme))
    check_site(yaml.safe_load((root/'_quarto.yml').read_text(encoding='utf-8')), list(sources))
    for p in sorted((root/'.github'/'workflows').glob('*.yml')):
        if 'jobs' not in yaml.safe_load(p.read_text(encoding='utf-8')): wrong(p.name, 'no jobs')

# ---- diagrams and formulas

def drawn():
    "Every diagram and formula: where, kind, text, shown on a line of its own or not."
    sources = {p.name: list(texts(read(p))) for p in sorted((root/'nbs').glob('*.ipynb'))}
    sources['README.md'] = [(root/'README.md').read_text(encoding='utf-8')]
    for name, parts in sources.items():
        for text in parts:
            for t in tokens(text):
                if t.type == 'fence' and t.info.strip(' {}') == 'mermaid': yield name, 'mermaid', t.content, True
                elif t.type in ('math_inline', 'math_inline_double', 'math_block'): yield name, 'katex', t.content, t.type != 'math_inline'
                elif t.type == 'text' and '$' in t.content: wrong(name, f'a $ without its other: {t.content.strip()[:80]}')

def from_npm(folder, package, file):
    "One file of a package of the npm registry; None where it cannot be had."
    npm = shutil.which('npm')
    done = npm and subprocess.run([npm, 'pack', '--silent', package], cwd=folder, capture_output=True, text=True)
    if not done or done.returncode: return None
    shutil.unpack_archive(folder/done.stdout.split()[-1], folder/package)
    return (folder/package/'package'/file).read_text(encoding='utf-8')

draw = """async ([kind, text, display]) => { try {
  if (kind == 'katex') katex.renderToString(text, {throwOnError: true, displayMode: display, strict: t => t == 'unicodeTextInMathMode' ? 'ignore' : 'error'})
  else return (await mermaid.render('m' + Math.random().toString(36).slice(2), text)).svg.includes('</svg>') ? '' : 'nothing was drawn'
  return '' } catch (e) { return String(e.message || e) } }"""

def formulas(_):
    from playwright.sync_api import sync_playwright
    chromium = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)
    if not chromium: print('not tried: no Chromium on this machine'); sys.exit(77)
    with tempfile.TemporaryDirectory() as tmp:
        scripts = [from_npm(Path(tmp), *o) for o in (('katex@0.19.1', 'dist/katex.min.js'), ('mermaid@11.17.2', 'dist/mermaid.min.js'))]
    if None in scripts: print('not tried: npm, or its registry, cannot be reached'); sys.exit(77)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=['--no-sandbox'], timeout=patience)
        page = browser.new_page()
        page.set_default_timeout(patience)
        for s in scripts: page.add_script_tag(content=s)
        page.evaluate('mermaid.initialize({startOnLoad: false, suppressErrorRendering: true})')
        for name, kind, text, display in drawn():
            count('diagrams' if kind == 'mermaid' else 'formulas')
            if said := page.evaluate(draw, [kind, text, display]): wrong(name, f'{said.splitlines()[0]} in {" ".join(text.split())[:100]}')
        browser.close()

# ---- pages in a browser

screen_css = """body { margin: 0; font: 17px/1.5 system-ui, sans-serif } main { box-sizing: border-box; max-width: 678px; margin: auto; padding: 0 }
pre { font: 14px/1.5 monospace; margin: 0 0 1rem } .input pre, .highlight pre, main > pre { white-space: pre-wrap; overflow-wrap: anywhere }
code { overflow-wrap: anywhere }
@media (max-width: 700px) { main { padding: 0 12px } }"""

look_at = r"""() => {
  const main = document.querySelector('main'), right = main.getBoundingClientRect().right - parseFloat(getComputedStyle(main).paddingRight)
  const found = []
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide`)
  for (const e of main.querySelectorAll('img, svg, audio, p, pre, table, iframe')) {
    let box = e.parentElement, inside = false
    for (; box && box != main; box = box.parentElement) inside ||= ['auto', 'scroll'].includes(getComputedStyle(box).overflowX)
    const text = (e.innerText || e.alt || '').trim().slice(0, 50)
    if (!inside && e.getBoundingClientRect().right > right + 1) found.push(`a ${e.localName} leaves its column: ${text}`)
    if (innerWidth > 1000 && e.localName == 'pre' && !e.closest('.highlight') && e.innerText.split('\n').some(l => l.length > 80 && (l.trim().match(/ {2,}/g) || []).length > 2)) found.push(`a table printed as text: ${text}`)
    if (innerWidth > 1000 && ['pre', 'table'].includes(e.localName) && e.scrollWidth > e.clientWidth + 1) found.push(`a ${e.localName} is cut off (${e.scrollWidth} px in ${e.clientWidth}): ${text}`)
  }
  for (const e of main.querySelectorAll('img')) if (!e.alt.trim()) found.push('a picture without alt text')
  return found
}"""

play_all = """async () => {
  const found = []
  const play = async a => {
    try {
      a.muted = true
      await a.play()
      await new Promise((done, failed) => { const t0 = performance.now(), look = () => a.currentTime > 0 ? done() : performance.now() - t0 > 300000 ? failed('it does not start') : setTimeout(look, 20); look() })
      a.pause()
      if (!(a.duration >= 1)) found.push(`a player of ${a.duration} s`)
    } catch (e) { found.push(`a player does not play: ${e.message || e}`) }
  }
  await Promise.all([...document.querySelectorAll('audio')].map(play))
  return found
}"""

def with_alt_texts(cells):
    "Put each cell's `#| fig-alt:` where nbconvert finds it."
    for c in cells:
        alt = re.search(r'(?m)^#\| *fig-alt: *(.+)$', ''.join(c['source'])) if c['cell_type'] == 'code' else None
        for o in c.get('outputs', []):
            for kind in [k for k in o.get('data', {}) if k.startswith('image/')]:
                if alt: o.setdefault('metadata', {}).setdefault(kind, {})['alt'] = alt[1].strip().strip('"\'')

@lru_cache
def exporter():
    from nbconvert.exporters import HTMLExporter, TemplateExporter
    from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
    class PlainHTML(HTMLExporter):
        "Without colours and another cleaning, which take half of the time, and without words put in for missing ones."
        def from_notebook_node(self, nb):
            resources = self._init_resources(None)
            self.register_filter('highlight_code', lambda source, **kw: f'<div class="highlight"><pre>{escape(source)}</pre></div>')
            self.register_filter('clean_html', lambda html: html)
            self.register_filter('filter_data_type', WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources))
            return TemplateExporter.from_notebook_node(self, nb, resources)
    html = PlainHTML(template_name='basic', default_preprocessors=[])
    html.exclude_input_prompt = html.exclude_output_prompt = True
    return html

def as_html(cells):
    "A notebook's page: what nbconvert makes of it, in a column as wide as the site's."
    from nbformat import v4
    with_alt_texts(cells)
    for c in cells: # front matter and diagrams are Quarto's
        if c['cell_type'] == 'markdown': c['source'] = re.sub(r'```\{mermaid\}.*?```|\A---\n.*?\n---\n', '', ''.join(c['source']), flags=re.S)
        for o in c.get('outputs', []): # raw HTML, as Quarto takes it
            text = ''.join(o.get('data', {}).get('text/markdown', ''))
            if text.startswith('```{=html}'): o['data'] = {'text/html': text.removeprefix('```{=html}').strip().removesuffix('```')}
    cells = [c for c in cells if c['cell_type'] != 'raw']
    nb = v4.reads(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    body, _ = exporter().from_notebook_node(nb)
    css = (root/'nbs'/'styles.css').read_text(encoding='utf-8')
    return f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{screen_css}{css}</style><main>{body}</main>'

def screens(folder):
    from playwright.sync_api import sync_playwright
    chromium = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)
    if not chromium: print('not tried: no Chromium on this machine'); sys.exit(77)
    cells = process(folder)
    for f in (root/'nbs').glob('*.*'):
        if f.is_file() and f.suffix not in ('.ipynb', '.yml'): shutil.copy(f, folder)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, timeout=patience, args=['--no-sandbox', '--autoplay-policy=no-user-gesture-required',
                                    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'])
        page, asked = browser.new_page(), set()
        page.set_default_timeout(patience)
        page.on('request', lambda r: asked.add(urlsplit(r.url).netloc))
        for name in cells: # one after the other in the same tab: a new one takes longer than most pages
            file = folder/name.replace('.ipynb', '.html')
            file.write_text(as_html(cells[name]), encoding='utf-8')
            asked.clear()
            for width in (1280, 380):
                page.set_viewport_size(dict(width=width, height=900))
                if width == 1280: page.goto(file.as_uri())
                count('screens')
                for said in page.evaluate(look_at): wrong(f'{name} at {width} px', said)
            for _ in range(page.locator('audio').count()): count('players')
            for said in page.evaluate(play_all): wrong(name, said)
            for host in asked - {''}: wrong(name, f'asks {host}')
        browser.close()

if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as empty:
        {'pages': pages, 'formulas': formulas, 'screens': screens}[sys.argv[1]](Path(*sys.argv[2:] or [empty]))
    print(*problems, sep='\n', end='\n'*bool(problems))
    print(', '.join(f'{n} {what}' for what, n in counted.items()), f'– {len(problems)} problems')
    sys.exit(bool(problems))
