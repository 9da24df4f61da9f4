"Everything about the package is said once, in settings.ini; this reads it for setuptools."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], keywords=cfg['keywords'].split(),
    license='MIT', license_files=['LICENSE'], python_requires='>=' + cfg['min_python'],
    packages=find_packages(include=['vox2trumpet*']), package_data={'vox2trumpet': ['assets/*', 'assets/*/*']},
    install_requires=cfg['requirements'].split(), extras_require={k: cfg[f'{k}_requirements'].split() for k in ('dev', 'swift')},
    entry_points={'console_scripts': cfg['console_scripts'].split()}, zip_safe=False,
    classifiers=['License :: OSI Approved :: MIT License', 'Topic :: Multimedia :: Sound/Audio :: Sound Synthesis']
        + [f'Programming Language :: Python :: 3.{v}' for v in (10, 11, 12, 13)])
