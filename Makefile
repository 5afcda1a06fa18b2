# SPDX-License-Identifier: GPL-2.0-or-later
# The front door. It only calls meson, ninja and scripts/; `make help` tells what there is.

BUILD ?= build
BUILD_ASAN ?= build-asan
BUILD_TSAN ?= build-tsan
GUEST ?= build/guest

INSTALL ?= yes
JOBS ?= 2
FUZZ_SECONDS ?= 60
ARGS ?=
TESTS ?=
prefix ?=
DESTDIR ?=

packages = scripts/install-packages $(if $(filter no,$(INSTALL)),--no-install)
ninja = ninja -C $(1) --quiet
export YADO_GUEST := $(abspath $(GUEST))

.DEFAULT_GOAL := all
.PHONY: all build run guest guest-full disk disk-or-guest check bench asan tsan fuzz format install clean distclean help

all: build

help:
	@echo 'make            build build/yado'
	@echo 'make run        build, make a disk with Debian 12 and boot it in this terminal'
	@echo '                (ARGS="--memory 4G --cpus 2": options of "yado run")'
	@echo 'make check      run all tests (TESTS="unit/* system/boot": only those)'
	@echo 'make bench      measure against the native CPU, and QEMU if installed'
	@echo 'make asan       tests with AddressSanitizer and UBSan (make tsan: ThreadSanitizer)'
	@echo 'make fuzz       run each fuzzer for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make format     lay out the source with clang-format'
	@echo 'make install    install (prefix=/usr/local, DESTDIR=)'
	@echo 'make clean      remove what was compiled (make distclean: also the downloaded guest)'
	@echo
	@echo 'Missing Debian packages (scripts/packages) are installed first; when not root, you are'
	@echo 'asked before sudo is used. INSTALL=no never installs: it says what is missing and goes on.'

build:
	@$(packages) build
	@test -e $(BUILD)/build.ninja || meson setup $(if $(prefix),--prefix=$(prefix)) $(BUILD)
	@$(call ninja,$(BUILD))

guest:
	@$(packages) guest
	@scripts/prepare-guest $(GUEST)

guest-full:
	@$(packages) guest
	@scripts/prepare-guest --full $(GUEST)

disk:
	@$(packages) disk
	@scripts/prepare-disk $(GUEST)/debian.img

# Where no disk can be made (no user namespaces, say), a smaller guest does.
disk-or-guest:
	@$(MAKE) --no-print-directory disk || $(MAKE) --no-print-directory guest

run: build disk-or-guest
	@$(BUILD)/yado run $(ARGS)

# Without the guest (no network, say) the tests that need it are skipped and listed.
check: build
	@$(packages) test
	@$(MAKE) --no-print-directory guest-full || echo 'Going on without a guest to boot.'
	@$(MAKE) --no-print-directory disk || echo 'Going on without a disk to boot from.'
	@$(call ninja,$(BUILD)) check-programs
	@tests/run --build $(BUILD) --jobs $(JOBS) $(TESTS)

bench: build guest
	@$(packages) bench
	@bench/run --build $(BUILD) $(ARGS)

asan: build
	@test -e $(BUILD_ASAN)/build.ninja || \
		meson setup -Db_sanitize=address,undefined -Db_lundef=false $(BUILD_ASAN)
	@$(MAKE) --no-print-directory check BUILD=$(BUILD_ASAN)

tsan: build
	@test -e $(BUILD_TSAN)/build.ninja || \
		meson setup -Db_sanitize=thread -Db_lundef=false $(BUILD_TSAN)
	@$(MAKE) --no-print-directory check BUILD=$(BUILD_TSAN)

fuzz: build
	@$(packages) test
	@$(call ninja,$(BUILD)) check-programs
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run --build $(BUILD) --jobs $(JOBS) \
		--timeout $$(($(FUZZ_SECONDS) * 2 + 60)) 'fuzz/*'

format:
	@$(packages) format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build
	@$(if $(prefix),meson configure -Dprefix=$(prefix) $(BUILD) && $(call ninja,$(BUILD)))
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet

clean:
	@for build in $(BUILD) $(BUILD_ASAN) $(BUILD_TSAN); do \
		test ! -e $$build/build.ninja || ninja -C $$build --quiet -t clean; done

distclean:
	rm -rf $(BUILD) $(BUILD_ASAN) $(BUILD_TSAN)
