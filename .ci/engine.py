"""Make the live engine's files: vox2trumpet/assets/engine.wasm from engine.cpp, and trumpet.engine from the bundled model.

python .ci/engine.py           compile (needs clang and lld) and pack
python .ci/engine.py --check   say whether the files are what the sources give
"""
from pathlib import Path
import shutil, subprocess, sys, tempfile

assets = Path(__file__).parents[1]/'vox2trumpet'/'assets'
flags = """--target=wasm32 -std=c++17 -O3 -msimd128 -mbulk-memory -nostdlib -fno-exceptions -fno-rtti -fvisibility=hidden -ffp-contract=off
    -Wall -Werror -Wl,--no-entry -Wl,--export-dynamic -Wl,--strip-all""".split()


def compiled() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)/'engine.wasm'
        subprocess.run(['clang++', *flags, '-o', out, 'engine.cpp'], cwd=assets, check=True)
        return out.read_bytes()


def packed() -> bytes:
    from vox2trumpet.live import pack_engine
    return pack_engine()


files = {'engine.wasm': compiled, 'trumpet.engine': packed}
if '--check' in sys.argv:
    said = subprocess.run(['clang++', '--version'], capture_output=True, text=True).stdout if shutil.which('clang++') else 'none'
    if ' version 14.' not in said or not shutil.which('wasm-ld'):
        print('the engine is compiled by clang 14 and lld; other versions give other bytes')
        sys.exit(77)
    old = [name for name, make in files.items() if make() != (assets/name).read_bytes()]
    if old: sys.exit(f'{", ".join(old)}: not what the sources give; run python .ci/engine.py')
else:
    for name, make in files.items():
        (assets/name).write_bytes(make())
        print(name, (assets/name).stat().st_size, 'bytes')
