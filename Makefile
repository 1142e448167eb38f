# SPDX-License-Identifier: Apache-2.0
#
# make            build/swarm-agent, build/swarmctl, build/swarm-shim and the BPF objects
# make unit       unit tests and fuzz corpora under ASan and UBSan
# make check      unit tests, both compilers, format and static analysis
# make netlink-gen  what follows from include/uapi/swarm.yaml
# make kmod       build/kmod/swarm.ko; KDIR= the kernel's headers, DEBUG=1 with self-tests at load
# make install    DESTDIR= PREFIX=
# make modules_install   the module where modprobe finds it; INSTALL_MOD_PATH=
# make dkms_install      its sources for DKMS, below DESTDIR/usr/src
#
# Sources are found, not listed: every agent/**/*.c that is no test and no program's main file
# goes into one archive that the programs and the tests link against.

MAKEFLAGS += -j$(shell nproc) --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

B ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC = gcc
endif
CLANG ?= clang
BPFTOOL ?= /usr/sbin/bpftool
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell cat VERSION)

ifeq ($(SAN),1)
B := build/asan
SANFLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif

PKGS = libevent libevent_openssl libevent_pthreads libnghttp2 libprotobuf-c openssl jansson lmdb \
       libarchive libnl-3.0 libnl-route-3.0 libnl-genl-3.0 libnftables libbpf libelf zlib
# libcurl is loaded when it is needed (agent/rpc/fetch.c)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) libcurl)
PKG_LIBS := $(shell pkg-config --libs $(PKGS)) -pthread -lm

CPPFLAGS = -D_GNU_SOURCE -DSWARM_VERSION='"$(VERSION)"' -Iagent -Iinclude -Iinclude/uapi -I$B/gen \
	   -Ibuild/harness
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes \
	  -fstack-protector-strong $(SANFLAGS) $(PKG_CFLAGS)
LDFLAGS += $(SANFLAGS)

PROTOS := $(wildcard agent/wire/*.proto)
PROTO_C := $(PROTOS:agent/wire/%.proto=$B/gen/wire/%.pb-c.c)
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$B/bpf/%.bpf.o)
SKELS := $(BPF_SRC:bpf/%.bpf.c=$B/gen/%.skel.h)
GEN := $(PROTO_C:.c=.h) $(SKELS)

ALL_C := $(shell find agent -name '*.c' | LC_ALL=C sort)
MAINS := agent/main.c agent/ctl/main.c agent/ctr/shim.c
TESTS := $(filter %_test.c,$(ALL_C)) $(shell find selftests -name '*_test.c' | LC_ALL=C sort)
LIB_C := $(filter-out $(MAINS) %_test.c,$(ALL_C))
LIB_O := $(LIB_C:%.c=$B/%.o) $(PROTO_C:.c=.o)
LIB := $B/libagent.a
TEST_BIN := $(TESTS:%.c=$B/%)
FUZZERS := $(wildcard selftests/fuzz/*_fuzz.c)

PROGRAMS := $(LIB)
ifneq ($(wildcard agent/main.c),)
PROGRAMS += $B/swarm-agent
endif
ifneq ($(wildcard agent/ctl/main.c),)
PROGRAMS += $B/swarmctl
endif
ifneq ($(wildcard agent/ctr/shim.c),)
PROGRAMS += $B/swarm-shim
endif

all: $(PROGRAMS) $(BPF_OBJ)

$B/swarm-agent: $B/agent/main.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$B/swarmctl: $B/agent/ctl/main.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# One runs beside each container: static and small, without the sanitizers' shadow memory.
$B/swarm-shim: agent/ctr/shim.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -O2 -g -std=gnu11 -Wall -Wextra -Werror -static -ffunction-sections \
		-Wl,--gc-sections -MMD -MP -MF $@.d -o $@ $<

$(LIB): $(LIB_O)
	@rm -f $@
	ar rcs $@ $^

$B/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/gen/%.pb-c.o: $B/gen/%.pb-c.c | $(GEN)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/gen/wire/%.pb-c.c $B/gen/wire/%.pb-c.h &: agent/wire/%.proto
	@mkdir -p $B/gen/wire
	protoc-c --c_out=$B/gen/wire -Iagent/wire -I/usr/include $<

# One description of the instructions for all kernels from 6.1 on (cpu v3).
$B/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/swarm/*.h include/swarm/path/*.h)
	@mkdir -p $(@D)
	$(CLANG) -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude \
		-Iinclude/uapi -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu -c -o $@.tmp $<
	llvm-strip -g $@.tmp && mv $@.tmp $@

$B/gen/%.skel.h: $B/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $* > $@.tmp && mv $@.tmp $@

# The kernel's test harness, as Debian ships it in linux-source.
build/harness/kselftest_harness.h:
	@mkdir -p build/harness
	tar -C build/harness --strip-components=4 -xf $$(ls /usr/src/linux-source-*.tar.xz | tail -1) \
		--wildcards '*/tools/testing/selftests/kselftest_harness.h' \
		'*/tools/testing/selftests/kselftest.h'
	@touch $@

$(TEST_BIN:%=%.o): | build/harness/kselftest_harness.h
$(TEST_BIN:%=%.o): CFLAGS += -Wno-unused-parameter -Wno-missing-prototypes -Wno-sign-compare

$(TEST_BIN): %: %.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS)

# The world that raft's simulation and its scenarios share.
RAFT_WORLD_O := $(patsubst %.c,$B/%.o,$(filter-out %_test.c %_sim.c,$(wildcard selftests/sim/raft_*.c)))
$B/selftests/sim/raft_scenario_test: $(RAFT_WORLD_O)
$B/selftests/sim/raft_sim: $B/selftests/sim/raft_sim.o $(RAFT_WORLD_O) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

# A fuzzer is one file with LLVMFuzzerTestOneInput; this builds it to run its corpus only.
$B/selftests/fuzz/%_fuzz: selftests/fuzz/%_fuzz.c selftests/fuzz/corpus_main.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wno-missing-prototypes -o $@ $(filter %.c,$^) $(LIB) $(PKG_LIBS)

# Tests in shell drive the datapath by this.
$B/selftests/datapath/dpctl: selftests/datapath/dpctl.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

# The servers and clients of these tests: static and small, for many are started.
$B/selftests/datapath/talk: selftests/datapath/talk.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(CFLAGS) $(LDFLAGS) -static -o $@ $<

# Needs a kernel with ESP, as that of scripts/vm.
$B/selftests/net/ipsec: selftests/net/ipsec.c $(LIB) | build/harness/kselftest_harness.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wno-unused-parameter -Wno-missing-prototypes \
		-Wno-sign-compare -o $@ $< $(LIB) $(PKG_LIBS)

# Tests of the module speak its netlink interface by hand.
$B/selftests/kmod/%: selftests/kmod/%.c selftests/kmod/nl.h | build/harness/kselftest_harness.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wno-unused-parameter -Wno-missing-prototypes \
		-Wno-sign-compare -o $@ $<

# With libFuzzer's main: scripts/fuzz sets B, CC and SANFLAGS.
$B/fuzzers/%: selftests/fuzz/%_fuzz.c $(LIB)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wno-missing-prototypes -o $B/$*_fuzz $< $(LIB) $(PKG_LIBS)

# The kernel's build wants sources and objects in one folder: one of links, so that the tree stays
# clean. Its compiler is that of KDIR, whatever CC is here.
KDIR ?= $(lastword $(shell ls -d /lib/modules/*/build 2>/dev/null | sort -V))
KMOD := $(CURDIR)/$B/kmod
KBUILD = $(MAKE) MAKEOVERRIDES= -C $(KDIR) M=$(KMOD) W=1 $(if $(DEBUG),DEBUG=$(DEBUG)) \
	 $(if $(KCHECK),C=2)

$(KMOD)/linked: FORCE
	@test -n "$(KDIR)" || { echo "no kernel headers: install linux-headers, or say KDIR=" >&2; exit 1; }
	@mkdir -p $(KMOD)
	@find $(KMOD) -xtype l -delete
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/kmod $(CURDIR)/include $(KMOD)/

kmod: $(KMOD)/linked
	+$(KBUILD) modules

modules_install: kmod
	+$(KBUILD) $(if $(INSTALL_MOD_PATH),INSTALL_MOD_PATH=$(INSTALL_MOD_PATH)) modules_install

DKMS = $(DESTDIR)/usr/src/swarm-$(VERSION)
dkms_install:
	install -d $(DKMS)
	cp -r Kbuild kmod include $(DKMS)
	sed 's,@VERSION@,$(VERSION),g' scripts/dkms.conf.in > $(DKMS)/dkms.conf

FORCE:

test-bins: $(TEST_BIN) $(FUZZERS:%.c=$B/%)

unit:
	$(MAKE) SAN=1 test-bins
	scripts/unit build/asan

check:
	scripts/check

FORMATTED = $(shell find agent bpf include kmod selftests -name '*.[ch]' ! -path '*/uapi/linux/*' \
	      ! -name 'netlink_gen.*')

format:
	clang-format -i $(FORMATTED)

format-check: netlink-gen-check
	clang-format --dry-run -Werror $(FORMATTED)

# include/uapi/linux/swarm.h and kmod/netlink_gen.[ch], which are committed, from swarm.yaml.
netlink-gen:
	scripts/netlink-gen

netlink-gen-check:
	scripts/netlink-gen --check

install: all
	install -D -m 755 build/swarm-agent $(DESTDIR)$(PREFIX)/sbin/swarm-agent
	install -D -m 755 build/swarmctl $(DESTDIR)$(PREFIX)/sbin/swarmctl
	install -D -m 755 build/swarm-shim $(DESTDIR)$(PREFIX)/libexec/swarm-agent/swarm-shim
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,@PREFIX@,$(PREFIX),g' scripts/swarm-agent.service.in \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/swarm-agent.service
	for m in $(wildcard man/*.8); do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man8/$${m##*/}; done

clean:
	rm -rf build

.PHONY: all unit check format format-check netlink-gen netlink-gen-check install clean test-bins \
	kmod modules_install dkms_install FORCE
.SECONDARY:

-include $(shell find $B -path $B/vng -prune -o -name '*.d' -type f -print 2>/dev/null)
