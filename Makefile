# SPDX-License-Identifier: Apache-2.0
# The only makefile. `make help` lists what it does.

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
MANDIR  ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
DESTDIR ?=
O       ?= build
CC      ?= cc
CLANG   ?= clang
PKG_CONFIG ?= pkg-config
V       ?= 0
SAN     ?=
DEV     ?=

VERSION := $(shell cat runtime/VERSION)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2);
else
Q :=
say =
endif

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough \
	-Wnull-dereference -Wdouble-promotion -Wconversion -Wno-sign-conversion
NACRE_CFLAGS := -std=gnu11 -I. $(WARNINGS) -D_GNU_SOURCE -fno-strict-aliasing -fPIE
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDHARDEN := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections \
	-Wl,-z,noseparate-code
ifneq ($(DEV),)
NACRE_CFLAGS += -Werror
endif
ifneq ($(SAN),)
NACRE_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
LDSAN := -fsanitize=$(SAN)
HARDEN := -fstack-protector-strong
endif

# libseccomp, libcap and yajl go in as archives where the distribution has them: a runtime is started
# for every engine call, and each shared library costs about 0.2 ms of that. SHARED_LIBS=1 links them all.
SHARED_LIBS ?=
ifeq ($(SHARED_LIBS),)
archive = $(firstword $(wildcard $(patsubst %,%/$(1),$(shell $(PKG_CONFIG) --variable=libdir $(2) 2>/dev/null)) /usr/lib/*/$(1)) $(3))
LIBS := $(call archive,libseccomp.a,libseccomp,-lseccomp) $(call archive,libcap.a,libcap,-lcap) \
	$(call archive,libyajl_s.a,yajl,-lyajl) -lmnl
else
LIBS := -lseccomp -lcap -lyajl -lmnl
endif

LIB_DIRS := runtime/base oci namespaces cgroups seccomp microvm
LIB_SRC  := $(foreach d,$(LIB_DIRS),$(wildcard $(d)/*.c))
BIN_SRC  := $(wildcard runtime/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(O)/%.o)
BIN_OBJ  := $(BIN_SRC:%.c=$(O)/%.o)
HEADERS  := $(foreach d,$(LIB_DIRS) runtime,$(wildcard $(d)/*.h))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(O)/%)
# What of the guest's program is tested by itself; the rest stands in for files that are linked here.
GUEST_UNIT_SRC := $(addprefix microvm/guest/,adapt.c description.c guest_net.c guest_processes.c rtnl.c session.c)
# Everything of runtime/ but main.c may be linked into a unit test.
UNIT_OBJ := $(LIB_OBJ) $(filter-out $(O)/runtime/main.o,$(BIN_OBJ)) $(GUEST_UNIT_SRC:%.c=$(O)/%.o)
HELPER_SRC := $(wildcard tests/helpers/*.c)
HELPER_BIN := $(HELPER_SRC:%.c=$(O)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(O)/%)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps test-deps helpers unit-bins guest-test install uninstall check unit lint bench demo fuzz clean help FORCE

all: $(O)/nacre $(O)/nacre-guest  ## build nacre (default)

help:  ## this list
	@echo "make targets (variables: O=dir DEV=1 SAN=address,undefined V=1 SHARED_LIBS=1 PREFIX= DESTDIR=):"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# Rebuild when the flags change, not only when the files do.
FLAGS_NOW = $(CC) $(CPPFLAGS) $(CFLAGS) $(NACRE_CFLAGS) $(HARDEN) $(LDFLAGS) $(LDHARDEN) $(LDSAN) $(LIBS) $(VERSION) $(COMMIT)
$(O)/.flags: FORCE
	@mkdir -p $(O); printf '%s\n' '$(FLAGS_NOW)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_NOW)' > $@

$(O)/%.o: %.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(NACRE_CFLAGS) -ffunction-sections \
		-DNACRE_VERSION='"$(VERSION)"' -DNACRE_COMMIT='"$(COMMIT)"' -MMD -MP -c -o $@ $<

$(O)/nacre: $(BIN_OBJ) $(LIB_OBJ)
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(LDHARDEN) $(LDSAN) -o $@ $^ $(LIBS)

# The first program of a microVM: static, since there is nothing else in there. From the archive it takes what it needs of
# nacre's objects; libmnl has no static form (Debian), so microvm/guest/ has its own netlink.c. It lies in the guest's memory: no symbols. Sanitizers cannot be static.
GUEST_SRC := $(wildcard microvm/guest/*.c)
GUEST_OBJ := $(GUEST_SRC:%.c=$(O)/%.o)
GUEST_LIBS := -lseccomp -lcap -lyajl_s
GUEST_STATIC := $(if $(SAN),-pie,-static-pie -s)

$(O)/guest.a: $(filter-out $(O)/namespaces/netlink%.o $(O)/runtime/main.o,$(LIB_OBJ) $(BIN_OBJ))
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$(O)/nacre-guest: $(GUEST_OBJ) $(O)/guest.a
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(filter-out -pie,$(LDHARDEN)) $(LDSAN) $(GUEST_STATIC) $(if $(SAN),,-s) -o $@ $^ $(GUEST_LIBS)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(UNIT_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(LDHARDEN) $(LDSAN) -o $@ $^ $(LIBS)

# What of config.json oci/ reads, for tests/spec/check.
$(O)/tests/spec/properties: $(O)/tests/spec/properties.o $(LIB_OBJ)
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(LDHARDEN) $(LDSAN) -o $@ $^ $(LIBS)

# Programs that run inside test containers: static, no libraries of ours.
$(O)/tests/helpers/%: tests/helpers/%.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(CFLAGS) -std=gnu11 -I. -D_GNU_SOURCE -Wall -Wextra -static -MMD -MP -MF $@.d -o $@ $<

# The guest program in a virtual machine, without the host's side of it.
$(O)/tests/guest/test_guest: $(O)/tests/guest/test_guest.o $(O)/tests/guest/vm.o $(UNIT_OBJ)
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(LDHARDEN) $(LDSAN) -o $@ $^ $(LIBS)

guest-test: $(O)/nacre-guest $(O)/tests/guest/test_guest  ## boot the guest program in QEMU and try it (root, minutes)
	NACRE_GUEST=$(O)/nacre-guest $(O)/tests/guest/test_guest

helpers: $(HELPER_BIN)
unit-bins: $(UNIT_BIN)

# The record of a container is parsed in runtime/, resources are turned into requests there, and a supervisor is spoken to; the rest is
# below it.
FUZZ_LIB_SRC := $(LIB_SRC) runtime/state_json.c runtime/plan_resources.c runtime/stats_wire.c runtime/compare_lines.c \
	runtime/compare_stats.c runtime/vm_control.c runtime/vm_qmp.c

FUZZ_OBJ := $(FUZZ_LIB_SRC:%.c=$(O)/fuzz/%.o)
FUZZ_CFLAGS := -std=gnu11 -I. -D_GNU_SOURCE -g -O1 -MMD -MP

$(O)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<) $(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

$(O)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@) $(CLANG) $(FUZZ_CFLAGS) -MF $@.d -fsanitize=fuzzer,address,undefined -o $@ $< $(FUZZ_OBJ) \
		-lseccomp -lcap -lyajl -lmnl

fuzz: $(FUZZ_BIN)  ## build the fuzz targets (clang)

deps:  ## install the build dependencies (Debian, root)
	contrib/deps build

test-deps:  ## install what the tests need (Debian, root)
	contrib/deps build test

unit: $(UNIT_BIN)  ## run the unit tests
	tests/run-unit $(O)/tests/unit

lint: all  ## layers, headers, warnings, cppcheck, clang-tidy, shellcheck
	tests/lint

check:  ## install what is needed, build and run every test
	tests/check

bench: all helpers  ## benchmarks beside the installed peers
	tests/bench/run
	tests/bench/microvm

demo:  ## build, and run a container and a microVM, showing what they see
	contrib/demo

install: all  ## install to $(DESTDIR)$(PREFIX)
	install -D -m 0755 $(O)/nacre $(DESTDIR)$(BINDIR)/nacre
	ln -sf nacre $(DESTDIR)$(BINDIR)/nacre-vm
	install -D -m 0755 $(O)/nacre-guest $(DESTDIR)$(LIBEXECDIR)/nacre/nacre-guest
	install -D -m 0644 runtime/man/nacre.8 $(DESTDIR)$(MANDIR)/man8/nacre.8
	install -D -m 0644 contrib/completion/nacre.bash $(DESTDIR)$(COMPLETIONDIR)/nacre

uninstall:  ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/nacre $(DESTDIR)$(BINDIR)/nacre-vm $(DESTDIR)$(LIBEXECDIR)/nacre/nacre-guest $(DESTDIR)$(MANDIR)/man8/nacre.8 $(DESTDIR)$(COMPLETIONDIR)/nacre

clean:  ## remove the build directory
	rm -rf $(O)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
