# One command each; every target sets up what it needs in .venv (seconds when that is done already).
#   make trumpet VOICE=my-voice.wav      hear a voice as a trumpet (out/)
#   make test                            every cell of every notebook, and a wheel tried outside
#   make lab | app | docs | bench        JupyterLab | the web page | the site (needs Quarto) | speed
#   make readme | check-docs | card      README.md and requirements.txt | what can be checked without Quarto | the site's pictures
# TORCH=cuda takes PyTorch's CUDA build; PYTHON=python3.12 another interpreter.
PYTHON ?= python3
TORCH  ?= cpu
VOICE  ?= vox2trumpet/assets/voices/vocadito_14.flac
NAME    = $(basename $(notdir $(VOICE)))
CPU_WHEELS = https://download.pytorch.org/whl/cpu

BIN  = .venv/bin
PIP  = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install -qq --no-compile --constraint constraints.txt
TORCH_VERSION = $(shell sed -n 's/^torch==//p' constraints.txt)
BASE = .venv/base-$(TORCH)
APP  = .venv/app-$(TORCH)
DEV  = .venv/dev-$(TORCH)
SETUP = settings.ini setup.py constraints.txt

# PyPI's Linux wheel of torch brings gigabytes of CUDA; the CPU build is called +cpu and has its own index.
ifeq ($(shell uname -s)-$(TORCH),Linux-cpu)
  TORCH_SPEC = "torch==$(TORCH_VERSION)+cpu" --retries 0 --extra-index-url $(CPU_WHEELS)
else
  TORCH_SPEC = "torch==$(TORCH_VERSION)"
endif

.PHONY: trumpet test lab app docs bench readme check-docs card clean
.DELETE_ON_ERROR:

trumpet: $(BASE)
	@mkdir -p out
	@$(BIN)/vox2trumpet transfer "$(VOICE)" "out/$(NAME)-trumpet.wav" --plot "out/$(NAME)-trumpet.png"

app: $(APP)
	@$(BIN)/vox2trumpet app

test: $(DEV)
	@$(BIN)/python .ci/checks.py

lab: $(DEV)
	@$(BIN)/jupyter lab nbs

bench: $(DEV)
	@$(BIN)/vox2trumpet bench

docs: $(DEV)
	@command -v quarto >/dev/null || { echo "The site is built by Quarto: install it from https://quarto.org/docs/get-started, then run make docs again." >&2; exit 1; }
	@touch README.md # it is written by .ci/readme.py, not by nbdev_docs
	@PATH="$(CURDIR)/$(BIN):$$PATH" nbdev_docs

readme: $(DEV)
	@$(BIN)/python .ci/readme.py
	@$(BIN)/python .ci/requirements.py

check-docs: $(DEV)
	@$(BIN)/python .ci/docs.py pages
	@$(BIN)/python .ci/docs.py formulas
	@$(BIN)/python .ci/docs.py screens

card: $(DEV)
	@$(BIN)/python .ci/card.py

$(BASE): $(SETUP)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@for other in $(filter-out $@,$(wildcard .venv/base-*)); do $(PIP) uninstall --quiet --yes torch; done
	@rm -f .venv/base-* .venv/app-* .venv/dev-*
	@echo "Installing into .venv, once: PyTorch ($(TORCH)) …"
	@$(INSTALL) $(TORCH_SPEC)
	@echo "… and the rest"
	@$(INSTALL) --editable .
	@touch $@

$(APP): $(BASE)
	@echo "Installing what the page needs …"
	@$(INSTALL) --editable ".[app]"
	@touch $@

$(DEV): $(BASE)
	@echo "Installing what notebooks and tests need …"
	@$(INSTALL) --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv out build dist *.egg-info
