"""Every check of the project; run by `make test` and `.ci/run`.

Exported package and notebooks agree, README agrees with the index, the documentation holds together, every cell of every
notebook runs, the fast ones need no slow one, and a wheel works outside the checkout, each extra alone. Prints a line a check;
the last line counts them. A check that cannot be tried here (no npm, say) exits with 77 and is counted as skipped.
SLOW=0 leaves the slow cells out.
"""
import ast, atexit, dis, importlib.util, json, os, re, shutil, signal, subprocess, sys, tempfile, time, venv
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context, set_start_method
from pathlib import Path
from threading import Event

root = Path(__file__).resolve().parent.parent
env = {'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1',
       'PYTHONDONTWRITEBYTECODE': '', # packages are installed uncompiled: the first process that imports one compiles it for the rest
       'WANDB_MODE': 'offline', 'VOX2TRUMPET_BRIEF': '1', 'GRADIO_ANALYTICS_ENABLED': 'False', 'MPLBACKEND': 'agg'}
results, skipped, compiled = [], [], Event() # the last: librosa is
end = time.time() + 80*60 # when all must be over: a busy machine is slow, it does not fail
with_slow_cells = os.environ.get('SLOW', '1') != '0'

# ---- one check

def report(name, start, code, out, command):
    "Print the line of a check, and the end of its output if it failed."
    if code == 77:
        print(f'not run {name}: {out.strip().rpartition(chr(10))[2]}', flush=True)
        skipped.append(name)
        return False
    text = f'{"FAILED" if code else "ok    "} {name}  ({time.time() - start:.0f} s)'
    if code: text += f'\n  $ {command}\n' + '\n'.join('  | ' + line for line in out.splitlines()[-60:])
    print(text, flush=True)
    results.append(not code)
    return not code

def end_group(pid):
    "End a process and whatever it started and left running."
    try: os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError: pass

def run(command, cwd, seconds):
    "A shell command's exit code and output; it ends when its time is up."
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as out:
        process = subprocess.Popen(command, shell=True, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        try: code, late = process.wait(seconds), ''
        except subprocess.TimeoutExpired: code, late = 124, f'\nstopped after {seconds:.0f} s'
        end_group(process.pid)
        out.seek(0)
        return code, out.read() + late

def check(name, *commands, cwd=root):
    "Run shell commands in turn; the check fails at the first that does not exit with 0."
    start = time.time()
    for command in commands:
        code, out = run(command, cwd, max(1, end - time.time()))
        if code: break
    return report(name, start, code, out, command)

# ---- notebooks
# Each is tested by `nbdev_test` in a process of its own. These begin as copies of one that has imported what most notebooks
# import from elsewhere: a third of the time would go into that.

server = get_context('forkserver')

def test_notebook(path, flags, log):
    "Test one notebook in this process, as `nbdev_test --path … --flags …`; what is printed goes to a file."
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for n in (1, 2): os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), n)
    set_start_method(None, force=True) # what a notebook starts, it starts as anywhere else
    from nbdev.test import nbdev_test
    try: nbdev_test.__wrapped__(path=path, flags=flags, n_workers=0, do_print=True)
    finally: atexit._run_exitfuncs() # of the notebook: a copied process does not run them by itself

def notebook(name, flags=''):
    "Check one notebook."
    start, path = time.time(), f'nbs/{name}'
    with tempfile.TemporaryDirectory() as tmp:
        log = Path(tmp)/'log'
        process = server.Process(target=test_notebook, args=(path, flags, str(log)))
        process.start()
        process.join(max(1, end - time.time()))
        late = process.is_alive()
        end_group(process.pid)
        process.join()
        out = log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''
    report(f'{name}{", slow cells too"*bool(flags)}', start, 124 if late else process.exitcode, out + '\nits time was up'*late,
           f'nbdev_test --path {path} --n_workers 0 --do_print' + f' --flags {flags}'*bool(flags))

# A notebook that has slow cells runs once, with them. That its fast cells also run without them can be read off their names.

def bindings(code):
    "Names that code, or a function in it, looks up before it gives them a value, and those that it gives one."
    given, used = set(), set()
    for o in dis.get_instructions(code):
        if o.opname in ('STORE_NAME', 'STORE_GLOBAL'): given.add(o.argval)
        if o.opname in ('LOAD_NAME', 'LOAD_GLOBAL') and o.argval not in given: used.add(o.argval)
    for inner in code.co_consts:
        if hasattr(inner, 'co_code'): used |= bindings(inner)[0] - given
    return used, given

def leaning(cells):
    "Names, also of files, that fast cells take from slow ones. A cell is a pair: slow or not, source."
    fast, slow, missing, found = set(), set(), set(), set()
    for is_slow, source in cells:
        source = re.sub(r'(?m)^(\s*)[%!].*', r'\1pass', source) # no Python
        used, given = bindings(compile(source, 'cell', 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        files = set(re.findall(r"'([\w -]+\.\w+)'", source))
        if is_slow:
            found |= given & missing # a fast cell's function waits for it
            slow |= given | files - fast
        else:
            found |= slow & (used | files)
            missing |= used - fast
            slow -= given
            fast |= given | files
    return found

def fast_cells_stand_alone():
    "Check that no fast cell needs a slow one."
    start, slow, fast = time.time(), True, False
    for cells, taken in (([(slow, 'x = 1'), (fast, 'y = x')], 'x'), ([(slow, 'import os'), (fast, 'def f(): return [os.sep for _ in y]')], 'os'),
                         ([(fast, 'x = 1'), (slow, 'x = 2'), (fast, 'print(x)')], 'x'), ([(fast, 'def f(): return x'), (slow, 'x = 1'), (fast, 'f()')], 'x'),
                         ([(slow, "save('a.wav')"), (fast, "load('a.wav')")], 'a.wav'), ([(slow, 'await x()'), (fast, '%time x'), (fast, 'x = 2; x')], None),
                         ([(fast, 'x = 1'), (slow, 'y = x'), (fast, 'y = 2'), (fast, 'def f(x): return x + y')], None)):
        assert leaning(cells) == {taken} - {None}, cells
    said = []
    for path in sorted((root/'nbs').glob('*.ipynb')):
        sources = [''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'code']
        found = leaning([(bool(re.search('(?m)^#\\| *slow', o)), o) for o in sources if not re.search('(?m)^#\\| *eval: *false', o)])
        if found: said.append(f'{path.name}: a fast cell takes {", ".join(sorted(found))} from a slow one')
    report('fast cells need no slow ones', start, len(said), '\n'.join(said), 'leaning(…)')

longest = '06c 06a 08 06l 07_ 10_ 06d 04c 05e 09 05d 06b 06j 01d 05_ 01b 06_'.split() # as measured: they begin first, so that none is left over at the end

def notebooks():
    "The notebooks in the order in which they begin, and the flags of each."
    names = {nb.name: 'slow' if with_slow_cells and '"#| slow' in nb.read_text(encoding='utf-8') else '' for nb in (root/'nbs').glob('*.ipynb')}
    place = lambda item: next((i for i, o in enumerate(longest) if item[0].startswith(o)), len(longest))
    return sorted(names.items(), key=lambda item: (place(item), not item[1], item[0]))

# ---- documentation

def docs():
    "The notebooks as they go to the site: texts and links, then in a browser."
    script = f'"{sys.executable}" .ci/docs.py'
    with tempfile.TemporaryDirectory() as tmp:
        check('the pages hold together: front matter, sidebar, links, pictures', f'{script} pages "{tmp}"')
        check('every page fits a phone and a desk, has alt texts, plays, and asks no other host', f'{script} screens "{tmp}"')
    check('every diagram is drawn and every formula set', f'{script} formulas')

# ---- a wheel

class Environment:
    "An empty environment, or one that has the packages of another and nothing else."
    def __init__(self, folder, base=None):
        venv.create(folder, with_pip=base is None)
        self.bin = Path(folder)/'bin'
        self.packages = next(Path(folder).glob('lib/python*/site-packages'))
        if base: (self.packages/'base.pth').write_text(f'{base.packages}\n')
        self.pip = f'"{self.bin/"python"}" -m pip'
        self.install = f'{self.pip} install --quiet --no-compile --constraint "{root}/constraints.txt"'
        self.command = f'"{self.bin/"vox2trumpet"}"'

def wheel():
    "Build a wheel, install it into an empty environment, and use it from another folder; then each extra by itself."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        if not check('a wheel is built', f'"{sys.executable}" -m pip wheel --quiet --no-deps --wheel-dir "{tmp}" .'): return
        away, file, base = tmp/'away', next(tmp.glob('*.whl')), Environment(tmp/'base')
        (away/'recordings').mkdir(parents=True)
        shutil.copy(root/'vox2trumpet/assets/voices/vocadito_14.flac', away/'my voice.flac')
        shutil.copy(min((root/'vox2trumpet/assets/trumpet').glob('*.flac')), away/'recordings')
        torch = subprocess.run([sys.executable, '-c', 'import torch; print(torch.__version__)'], capture_output=True, text=True).stdout.strip()
        if not check('the wheel installs into an empty environment', f'{base.install} torch=={torch} {cpu_wheels(torch)}',
                     f'{base.install} "{file}"', f'{base.pip} check', cwd=away): return
        check('transfer works outside the checkout', f'{base.command} transfer "my voice.flac" trumpet.wav --plot trumpet.png',
              f'"{base.bin/"python"}" -c "{same_length}"', cwd=away)
        check('import vox2trumpet takes neither torch nor matplotlib',
              f'''"{base.bin/"python"}" -c "import sys, vox2trumpet; assert not {{'torch', 'torchaudio', 'matplotlib'}} & set(sys.modules)"''', cwd=away)
        check('preparing needs no extra', f'{base.command} prepare recordings features --pitch_model tiny', cwd=away)
        compiled.wait(max(1, end - time.time()))
        take_compiled('librosa', base.packages)
        for extra, line in commands.items():
            if extra != 'evaluate': # it needs librosa, which torchcrepe brings
                check(f'without the extra {extra}, its command says what to install',
                      f'{base.command} {line} 2>&1 | grep -F "pip install \'vox2trumpet[{extra}]\'"', cwd=away)
            alone = Environment(tmp/extra, base)
            if not check(f'the extra {extra} installs alone', f'{alone.install} --ignore-installed --no-deps "{file}"',
                         f'{alone.install} "{file}[{extra}]"', f'{alone.pip} check', cwd=away): continue
            use = f'"{alone.bin/"python"}" -c "{serves}"' if extra == 'app' else f'{alone.command} {line}'
            check(f'the extra {extra} is all that its command needs', use, cwd=away)

commands = dict(app='app', train='train --data_dir features --hold_out 0 --steps 2 --checkpoint_dir run',
                evaluate='evaluate --ref_dir recordings --checkpoint run/best.safetensors --pitch_model tiny',
                swift='transfer "my voice.flac" swift.wav --tracker swift-f0', live='live --in "my voice.flac" --out live.wav',
                export='export onnx trumpet.onnx') # in this order: what is trained is evaluated

def take_compiled(package, packages):
    "Take what numba has compiled of a package here to where the same version is installed: numba wants its sources to be as old."
    ours, theirs = Path(importlib.util.find_spec(package).origin).parent, packages/package
    for old in [*ours.rglob('*.py'), *ours.rglob('*.nb[ic]')]:
        new = theirs/old.relative_to(ours)
        if old.suffix == '.py': os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
        else:
            new.parent.mkdir(exist_ok=True)
            shutil.copy2(old, new)

def cpu_wheels(torch): return '--retries 0 --extra-index-url https://download.pytorch.org/whl/cpu' if torch.endswith('+cpu') else ''
same_length = ("import soundfile as sf; a, b = sf.info('my voice.flac'), sf.info('trumpet.wav'); "
               "assert b.frames == round(a.frames*b.samplerate/a.samplerate), (a.frames, b.frames); assert abs(sf.read('trumpet.wav')[0]).max() > .01")
serves = ("import socket, subprocess, sys, time, urllib.request as u; s = socket.socket(); s.bind(('127.0.0.1', 0)); port = str(s.getsockname()[1]); s.close(); "
          "p = subprocess.Popen([sys.executable, '-c', 'import sys; from vox2trumpet.cli import main; main(sys.argv[1:])', 'app', '--port', port]); page = ''\n"
          "while not page and p.poll() is None:\n"
          "  try: page = u.urlopen('http://127.0.0.1:' + port, timeout=60).read().decode()\n"
          "  except OSError: time.sleep(1)\n"
          "p.terminate(); assert 'vox2trumpet' in page, page[:200]")
compile_librosa = "import librosa, numpy as np; librosa.pyin(np.sin(np.arange(16000)/6).astype('float32'), fmin=60, fmax=1400, sr=16000)"

# ---- all of them

def main():
    os.environ.update(env)
    os.chdir(root)
    server.set_forkserver_preload(['nbdev.test', 'torch', 'matplotlib.pyplot', 'scipy.signal', 'librosa', 'ipywidgets', 'hypothesis'])
    check('nbdev_export leaves no difference', 'nbdev_export', 'git diff --exit-code -- vox2trumpet')
    check('nbdev_clean leaves no difference', 'nbdev_clean', 'git diff --exit-code -- nbs')
    check('README.md is the text of index.ipynb', f'"{sys.executable}" .ci/readme.py', 'git diff --exit-code -- README.md')
    check('requirements.txt is that of settings.ini', f'"{sys.executable}" .ci/requirements.py', 'git diff --exit-code -- requirements.txt')
    check('the live engine is what its sources give', f'"{sys.executable}" .ci/engine.py --check')
    fast_cells_stand_alone()
    check('installed packages agree', f'"{sys.executable}" -m pip check')
    with ThreadPoolExecutor((os.cpu_count() or 2) + 1) as pool: # one more than there are cores: some wait for a browser or a disk
        jobs = [pool.submit(wheel), pool.submit(docs)]
        check('librosa has compiled its functions', f'"{sys.executable}" -c "{compile_librosa}"') # two processes doing it at once spoil numba's cache
        compiled.set()
        jobs += [pool.submit(notebook, name, flags) for name, flags in notebooks()]
    for job in jobs: job.result()
    check('the tests leave no file behind', 'test -z "$(git status --porcelain)" || { git status --short; exit 1; }')
    if skipped: print(f'not tried here: {"; ".join(skipped)}')
    print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
    sys.exit(not all(results))

if __name__ == '__main__': main()
