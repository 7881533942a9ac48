# make demo, make test: from a bare clone to a network that learns, or to every test run.
# A second call rebuilds only what changed.
BUILD := build/release
VENV_PYTHON := .venv/bin/python
EXAMPLES := logistic_regression two_layer_network
PROBLEMS := linear_regression binary_logistic multinomial_logistic binary_network gaussian_likelihood \
            matrix_factorisation surface_descent
EPOCHS ?= 10
BENCH ?=
DEVICE ?= cpu
PEERS_PYTHON ?= python3.12

.PHONY: help demo examples test test-full bench bench-full bench-peers gpu-bundle pictures docs format lint clean
help:
	@echo "make demo           learn Fashion-MNIST with both example models; pictures go to demo-out/"
	@echo "make examples       run the model problems, which check themselves; pictures go to examples-out/;"
	@echo "                    DEVICE=cuda runs them there, emulated unless TIDU_CUDA=real"
	@echo "make test           build everything; run the C++, outside-project and Python tests, of many cases a sample"
	@echo "make test-full      the same with every case, on both devices"
	@echo "make bench          measure tidu beside its peers; the report goes to build/bench (BENCH=.. passes options)"
	@echo "make bench-full     the same at all sizes and with torch.compile, for hours"
	@echo "make bench-peers    install PyTorch, JAX, MLX and autograd into .venv-peers, for the benchmarks"
	@echo "make gpu-bundle     pack what a machine with a GPU and nothing else needs to test and time tidu"
	@echo "make pictures       draw the pictures of the documents"
	@echo "make docs           make the site of the documents, in build/docs/html"
	@echo "make format         format the sources"
	@echo "make lint           check format, layers, style and types"
	@echo "make clean          remove what was built; .venv and .venv-peers stay"

.venv/ready: scripts/setup.sh requirements.txt
	@scripts/setup.sh

.venv/dev: requirements-dev.txt .venv/ready
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/docs: requirements-docs.txt .venv/ready
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

$(BUILD)/build.ninja: CMakePresets.json .venv/ready
	@echo "== configuring $(BUILD)"
	@mkdir -p build
	@cmake --preset release >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@touch $@

# The peers, some gigabytes, in an environment of their own: they need not run on the Python that tidu runs on.
bench-peers: .venv-peers/ready
.venv-peers/ready: requirements-peers.txt
	@echo "== making .venv-peers"
	@PYENV_VERSION=3.12 $(PEERS_PYTHON) -m venv --clear .venv-peers || \
	  { echo "JAX needs Python 3.12 or later: make bench-peers PEERS_PYTHON=.."; exit 1; }
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt
	@touch $@

# build TARGETS: on success ninja's lines matter to nobody, so a terminal shows one line that moves.
define build
	@echo "== building"
	@cmake --build $(BUILD) $(addprefix --target ,$(1))
endef

demo: $(BUILD)/build.ninja
	$(call build,_core)
	@for name in $(EXAMPLES); do \
	  echo "== examples/$$name.py"; \
	  $(VENV_PYTHON) examples/$$name.py --epochs $(EPOCHS) --out demo-out/$$name || exit; \
	done
	@echo "== the pictures are in $(CURDIR)/demo-out:"
	@find demo-out -name '*.png' | sort | sed 's/^/   /'

# On an emulated device at reduced sizes.
ifeq ($(DEVICE),cuda)
  export TIDU_CUDA ?= emulated
  quick := $(if $(filter real,$(TIDU_CUDA)),,--quick)
endif
examples: $(BUILD)/build.ninja
	$(call build,_core examples $(if $(quick),tidu_cuda_$(TIDU_CUDA)))
	@for name in $(PROBLEMS); do \
	  echo "== examples/$$name.py"; \
	  $(VENV_PYTHON) examples/$$name.py --device $(DEVICE) $(quick) --out examples-out/$$name || exit; \
	  echo "== examples/cpp/$$name.cpp"; \
	  $(BUILD)/bin/example_$$name --device $(DEVICE) $(quick) --out examples-out/$$name/cpp || exit; \
	done
	@echo "== examples/exported_training.py, and its programs in C++"
	@$(VENV_PYTHON) examples/exported_training.py --device $(DEVICE) $(quick) --out examples-out/exported_training
	@$(BUILD)/bin/example_exported_training --device $(DEVICE) --out examples-out/exported_training
	@echo "== examples/gpt.py"
	@$(VENV_PYTHON) examples/gpt.py --device $(DEVICE) --quick
	@for name in $(EXAMPLES); do \
	  echo "== examples/$$name.py"; \
	  $(VENV_PYTHON) examples/$$name.py --device $(DEVICE) --epochs 1 $(if $(quick),--subset 500) \
	    --out examples-out/$$name || exit; \
	done
	@echo "== examples/cnn.py"
	@$(VENV_PYTHON) examples/cnn.py --device $(DEVICE) --epochs 1 --subset $(if $(quick),200,6000) --out examples-out/cnn

# Of each Python test's cases a third, another at each commit, and on device cuda a sixth.
test: SAMPLE = --sample $$(($$turn % $(1)))/$(1)
test test-full: $(BUILD)/build.ninja
	$(call build,all)
	@echo "== C++ tests"
	@ctest --preset release -j $$(nproc)
	@scripts/count_tests.sh release
	@turn=$$(git rev-list --count HEAD 2>/dev/null || echo 0); \
	echo "== Python tests"; \
	$(VENV_PYTHON) -m pytest -q -n $$(nproc) tests/python $(call SAMPLE,3) || exit; \
	if [ -e $(BUILD)/libtidu_cuda_emulated.so ]; then \
	  echo "== Python tests on device cuda, emulated"; \
	  $(VENV_PYTHON) -m pytest -q -n $$(nproc) tests/python --device cuda $(call SAMPLE,6); \
	else echo "== device cuda: not tested, no headers of CUDA 13 were found"; fi

bench: $(BUILD)/build.ninja
	$(call build,_core bench_eager bench_hand_written)
	@$(VENV_PYTHON) bench/suite.py $(BENCH)

bench-full: $(BUILD)/build.ninja
	$(call build,_core benchmarks)
	@$(VENV_PYTHON) bench/suite.py --size full $(BENCH)

gpu-bundle: .venv/ready
	@PYENV_VERSION=3.12 $(VENV_PYTHON) scripts/gpu_bundle.py

pictures: $(BUILD)/build.ninja
	$(call build,_core)
	@$(VENV_PYTHON) scripts/pictures.py

docs: $(BUILD)/build.ninja .venv/docs
	$(call build,_core stubs)
	@$(VENV_PYTHON) scripts/make_site.py
	@echo "== the site is in $(CURDIR)/build/docs/html"

format: .venv/dev
	@$(VENV_PYTHON) scripts/lint.py --fix

lint: .venv/dev
	@$(VENV_PYTHON) scripts/lint.py

clean:
	@rm -rf build dist demo-out examples-out
