"`python -m vox2trumpet` is the command `vox2trumpet`."
from .cli import main

main()
