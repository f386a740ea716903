# SPDX-License-Identifier: GPL-2.0

define HELP
make            build the module against the test kernel: build/ghostswap.ko
make ctl        build the user's tool: build/ghostswapctl, its man pages and completions
make install    install both; install-module, install-tools: one of them; see KVER and PREFIX below
make uninstall  remove them
make deb        make the Debian packages ghostswap-dkms and ghostswap-tools: build/packages
make demo       show a machine with little memory finish a job larger than that, and draw
                it beside zram and zswap: build/demo/demo.svg
make test       run all tests
make test-host  run the tests that need no kernel
make test-ctl   run the tests of the user's tool and of make install, which need none
make selftests  run the tests that need one, in a virtual machine
make test-packages  install, boot, upgrade and purge the Debian packages: 15 to 40 minutes, as root
make test-debug run the selftests on the debug and KCSAN kernels: 60 to 90 minutes
make torture    run all operations at once, for MINUTES=3 and longer
make fuzz       fuzz every input interface, for MINUTES=2 and longer
make vm         open a shell in a virtual machine with the module at hand
make kernel     build the test kernel and print where it is
make bench      measure ghostswap beside zram and zswap (30 minutes to an hour)
make docs       render Documentation/ as HTML: build/docs/index.html
make facts      look for what ghostswap relies on in the kernel's source
make lint       check the form of all files
make clean      remove build/; the cache outside of the repository stays

What is needed is set up on demand, in $${XDG_CACHE_HOME:-~/.cache}/ghostswap.

KERNEL=NAME     module, tests, vm, kernel: for this kernel and not the test kernel: debug, kcsan,
                stock (Debian's own of trixie-backports, unmodified) or stock-rt
ARCH=arm64      the same as KERNEL=arm64: module, kernel and the core of the tests for such machines,
                built on this one
KDIR=DIR        use this built kernel tree; its tools are then given as for the
                kernel's own make: LLVM=, CC=, RUSTC=, BINDGEN=, ...
KVER=RELEASE    install: for this kernel and not the one that runs
PREFIX=DIR      install: the tools here and not in /usr/local; also DESTDIR, SBINDIR, DATADIR, MANDIR,
                UDEVDIR
KSRC=DIR        build this kernel source
V=1             show the commands that build the module; with bench, each figure
ONLY=WORDS      bench: parts (pages, profile, scale, disk, jobs, native) or compressors, pages
                and figures of the first; see tests/bench/run --help
BACKENDS=NAMES  bench: zram, zswap, zswap-ghost, ghostswap
PAGES=N         bench: how many of each kind (10240)
endef

TEST_PROGRAMS := host/run ctl/run install/run selftests/run

# Such machines have one kernel here. What is not for machines is tested without.
ifeq ($(ARCH),arm64)
KERNEL ?= arm64
export KERNEL
TEST_PROGRAMS := selftests/run
ifneq ($(KERNEL),arm64)
$(error ARCH=arm64 is a kernel of its own: leave out KERNEL=$(KERNEL))
endif
# The kernel's make is told by scripts/lib.sh, or, with KDIR, by the environment.
ifndef KDIR
unexport ARCH
endif
endif

.PHONY: all ctl install install-module install-tools uninstall deb demo test test-host test-ctl selftests test-packages test-debug torture fuzz bench vm kernel docs facts lint clean help

all:
	@scripts/module $(or $(KERNEL),test) $(if $(V),V=$(V))

ctl:
	@scripts/ctl

# Nothing is built here: root's cache is another one than the user's who built.
install:
	@scripts/install

install-module:
	@scripts/install module

install-tools:
	@scripts/install tools

uninstall:
	@scripts/install --remove

deb:
	@scripts/deb

demo:
	@scripts/demo

test:
	@scripts/test $(TEST_PROGRAMS)

test-host:
	@scripts/test host/run

test-ctl:
	@scripts/test ctl/run install/run

selftests:
	@scripts/test selftests/run

test-packages:
	@scripts/test install/packages

test-debug:
	@KERNEL=debug,kcsan scripts/test selftests/run

torture:
	@scripts/torture

fuzz:
	@scripts/fuzz

bench:
	@tests/bench/run

vm:
	@scripts/vm --kernel $(or $(KERNEL),test)

kernel:
	@scripts/kernel $(or $(KERNEL),test)

docs:
	@scripts/docs

facts:
	@scripts/facts $(KSRC)

lint:
	@scripts/lint

clean:
	rm -rf build

help:
	$(info $(HELP))
	@:
