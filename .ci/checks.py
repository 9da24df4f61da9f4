"""Every check of the project, in order; run by `make test` and `.ci/run`.

Exported package and notebooks agree, README agrees with the index, the documentation holds together, every cell of every
notebook runs (then the slow ones), and a wheel works outside the checkout. Prints a line a check; the last line counts them.
A check that cannot be tried here (no npm, say) exits with 77 and is counted as skipped.
"""
import os, shutil, signal, subprocess, sys, tempfile, time, venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

root = Path(__file__).resolve().parent.parent
env = {**os.environ, 'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1',
       'PYTHONDONTWRITEBYTECODE': '1', 'WANDB_MODE': 'offline', 'GRADIO_ANALYTICS_ENABLED': 'False', 'MPLBACKEND': 'agg'}
results, skipped = [], []
end = time.time() + 80*60 # when all must be over: a busy machine is slow, it does not fail
with_slow_cells = os.environ.get('SLOW', '1') != '0'

def run(command, cwd, seconds):
    "A shell command's exit code and output. Whatever it started and left running ends with it, or when its time is up."
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as out:
        process = subprocess.Popen(command, shell=True, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        try: code, late = process.wait(seconds), ''
        except subprocess.TimeoutExpired: code, late = 124, f'\nstopped after {seconds:.0f} s'
        try: os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError: pass
        out.seek(0)
        return code, out.read() + late

def check(name, *commands, cwd=root):
    "Run shell commands in turn; the check fails at the first that does not exit with 0, and shows the end of its output."
    start = time.time()
    for command in commands:
        code, out = run(command, cwd, max(1, end - time.time()))
        if code: break
    if code == 77:
        print(f'not run {name}: {out.strip().rpartition(chr(10))[2]}', flush=True)
        skipped.append(name)
        return False
    print(f'{"FAILED" if code else "ok    "} {name}  ({time.time() - start:.0f} s)', flush=True)
    if code: print(f'  $ {command}\n' + '\n'.join('  | ' + line for line in out.splitlines()[-60:]), flush=True)
    results.append(not code)
    return not code

def notebooks(slow):
    "Test all notebooks, two at a time, with their slow cells or without."
    cells = {nb.name: nb.read_text(encoding='utf-8').count('"#| slow') for nb in sorted((root/'nbs').glob('*.ipynb'))}
    names = sorted([n for n in cells if cells[n] or not slow], key=lambda n: -cells[n]*slow) # the longest first
    flags = ' --flags slow' if slow else ''
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: check(f'{n}{", slow cells too" if slow else ""}',
                                      f'nbdev_test --path nbs/{n} --n_workers 0 --do_print{flags}'), names))

def wheel():
    "Build a wheel, install it part by part into an empty environment, and use it from another folder."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        if not check('a wheel is built', f'"{sys.executable}" -m pip wheel --quiet --no-deps --wheel-dir "{tmp}" .'): return
        venv.create(tmp/'env', with_pip=True)
        python, away, command = tmp/'env'/'bin'/'python', tmp/'away', tmp/'env'/'bin'/'vox2trumpet'
        (away/'recordings').mkdir(parents=True)
        voice = shutil.copy(root/'vox2trumpet/assets/voices/vocadito_14.flac', away/'my voice.flac')
        for phrase in (root/'vox2trumpet/assets/trumpet').glob('*.flac'): shutil.copy(phrase, away/'recordings')
        torch = subprocess.run([sys.executable, '-c', 'import torch; print(torch.__version__)'], capture_output=True, text=True).stdout.strip()
        pip, file = f'"{python}" -m pip install --quiet --constraint "{root}/constraints.txt"', next(tmp.glob('*.whl'))
        if not check('the wheel installs into an empty environment', f'{pip} torch=={torch} {cpu_wheels(torch)}', f'{pip} "{file}"', cwd=away): return
        check('transfer works outside the checkout', f'"{command}" transfer "{voice}" trumpet.wav --plot trumpet.png', f'"{python}" -c "{same_length}"', cwd=away)
        check('import vox2trumpet takes neither torch nor matplotlib',
              f'''"{python}" -c "import sys, vox2trumpet; assert not {{'torch', 'torchaudio', 'matplotlib'}} & set(sys.modules)"''', cwd=away)
        check('preparing needs no extra', f'"{command}" prepare recordings features --pitch_model tiny', cwd=away)
        for extra, line in dict(app='app', train='train --data_dir features').items():
            check(f'without the extra {extra}, its command says what to install',
                  f'"{command}" {line} 2>&1 | grep -F "pip install \'vox2trumpet[{extra}]\'"', cwd=away)
        if not check('every extra installs beside it', f'{pip} "{file}[all]"', f'"{python}" -m pip check', cwd=away): return
        check('train, evaluate and app run from the extras', f'"{command}" train --data_dir features --hold_out 0 --steps 2 --checkpoint_dir run',
              f'"{command}" evaluate --ref_dir recordings --checkpoint run/best.safetensors --pitch_model tiny', f'"{python}" -c "{serves}"', cwd=away)

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

check('nbdev_export leaves no difference', 'nbdev_export', 'git diff --exit-code -- vox2trumpet')
check('nbdev_clean leaves no difference', 'nbdev_clean', 'git diff --exit-code -- nbs')
check('README.md is the text of index.ipynb', f'"{sys.executable}" .ci/readme.py', 'git diff --exit-code -- README.md')
check('requirements.txt is that of settings.ini', f'"{sys.executable}" .ci/requirements.py', 'git diff --exit-code -- requirements.txt')
check('the pages hold together: front matter, sidebar, links, pictures', f'"{sys.executable}" .ci/docs.py pages')
check('every diagram is drawn and every formula set', f'"{sys.executable}" .ci/docs.py formulas')
check('every page fits a phone and a desk, has alt texts, plays, and asks no other host', f'"{sys.executable}" .ci/docs.py screens')
check('librosa has compiled its functions', f'"{sys.executable}" -c "{compile_librosa}"') # two processes doing it at once spoil numba's cache
notebooks(slow=False)
if with_slow_cells: notebooks(slow=True)
wheel()
check('the tests leave no file behind', 'test -z "$(git status --porcelain)" || { git status --short; exit 1; }')
if skipped: print(f'not tried here: {"; ".join(skipped)}')
print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
sys.exit(not all(results))
