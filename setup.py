"Everything about the package is declared once, in settings.ini; this reads it for setuptools."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
package = cfg['lib_name']

extras = {name: cfg[f'{name}_requirements'].split() for name in ('app', 'train', 'evaluate', 'swift', 'live', 'export', 'neutone', 'dev')}
extras['all'] = [r for name in ('app', 'train', 'evaluate', 'live', 'export') for r in extras[name]]
extras['dev'] += extras['all']

setup(
    name=package, version=cfg['version'], description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], keywords=cfg['keywords'].split(),
    license='MIT', license_files=['LICENSE'], python_requires='>=' + cfg['min_python'],
    packages=find_packages(include=[f'{package}*']), package_data={package: ['assets/*', 'assets/*/*']},
    install_requires=cfg['requirements'].split(), extras_require=extras,
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': [f'{package}={package}._modidx:d']}, zip_safe=False,
    classifiers=['License :: OSI Approved :: MIT License', 'Topic :: Multimedia :: Sound/Audio :: Sound Synthesis']
        + [f'Programming Language :: Python :: 3.{v}' for v in (11, 12, 13, 14)])
