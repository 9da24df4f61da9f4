"The page, as a Hugging Face Space starts it; at home, `vox2trumpet app` does the same."
from vox2trumpet.cli import main

if __name__ == '__main__': main(['app'])
