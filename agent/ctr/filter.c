// SPDX-License-Identifier: Apache-2.0
#include "ctr/filter.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "ctr/ctr_impl.h"

/* From libseccomp's stable interface (seccomp.h, version 2). */
struct arg_cmp {
	unsigned int arg;
	int op;
	uint64_t datum_a, datum_b;
};

enum { CMP_NE = 1, CMP_EQ = 4, CMP_MASKED_EQ = 7, ATTR_OPTIMIZE = 8, NO_SYSCALL = -1 };

static const uint32_t act_allow = 0x7fff0000, act_errno = 0x00050000;

struct lib {
	void *handle;
	void *(*init)(uint32_t action);
	void (*release)(void *ctx);
	int (*arch_add)(void *ctx, uint32_t arch);
	int (*attr_set)(void *ctx, int attr, uint32_t value);
	uint32_t (*arch_resolve)(const char *name);
	int (*resolve)(const char *name);
	int (*add)(void *ctx, uint32_t action, int nr, unsigned int n, const struct arg_cmp *args);
	int (*export_bpf)(const void *ctx, int fd);
};

static bool lib_open(struct lib *l)
{
	const struct {
		const char *name;
		void *at;
	} symbols[] = {
		{"seccomp_init", &l->init},
		{"seccomp_release", &l->release},
		{"seccomp_arch_add", &l->arch_add},
		{"seccomp_attr_set", &l->attr_set},
		{"seccomp_arch_resolve_name", &l->arch_resolve},
		{"seccomp_syscall_resolve_name", &l->resolve},
		{"seccomp_rule_add_array", &l->add},
		{"seccomp_export_bpf", &l->export_bpf},
	};

	l->handle = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!l->handle)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *p = dlsym(l->handle, symbols[i].name);

		if (!p) {
			dlclose(l->handle);
			return false;
		}
		memcpy(symbols[i].at, &p, sizeof(p));
	}
	return true;
}

static int add_rule(const struct lib *l, void *ctx, json_t *rule)
{
	uint32_t action = act_allow;
	struct arg_cmp args[6];
	unsigned int n = 0;
	json_t *v;
	size_t i;
	int rc = 0;

	if (!strcmp(js(rule, "action"), "SCMP_ACT_ERRNO"))
		action = act_errno | (ji(rule, "errnoRet") & 0xffff);
	json_array_foreach (json_object_get(rule, "args"), i, v) {
		const char *op = js(v, "op");

		if (n == ARRAY_SIZE(args))
			return -EINVAL;
		args[n++] = (struct arg_cmp){
			.arg = ji(v, "index"),
			.op = !strcmp(op, "SCMP_CMP_NE")   ? CMP_NE
			      : !strcmp(op, "SCMP_CMP_EQ") ? CMP_EQ
							   : CMP_MASKED_EQ,
			.datum_a = ji(v, "value"),
			.datum_b = ji(v, "valueTwo"),
		};
	}
	json_array_foreach (json_object_get(rule, "names"), i, v) {
		int nr = l->resolve(json_string_value(v));

		if (nr != NO_SYSCALL && !rc)
			rc = l->add(ctx, action, nr, n, args);
	}
	return rc;
}

static int fill(const struct lib *l, void *ctx, json_t *profile)
{
	json_t *v;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(profile, "architectures"), i, v) {
		_cleanup_free_ char *name = xstrdup(json_string_value(v) + strlen("SCMP_ARCH_"));

		for (char *p = name; *p; p++)
			*p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
		rc = l->arch_add(ctx, l->arch_resolve(name));
		if (rc && rc != -EEXIST)
			return rc;
	}
	/* a tree instead of a list: fewer steps a call */
	l->attr_set(ctx, ATTR_OPTIMIZE, 2);
	rc = 0;
	json_array_foreach (json_object_get(profile, "syscalls"), i, v)
		rc = rc ? rc : add_rule(l, ctx, v);
	return rc;
}

char *filter_compile(json_t *profile)
{
	struct lib lib;
	struct stat st;
	char *text = NULL;
	void *ctx;
	int fd;

	if (!lib_open(&lib))
		return NULL;
	fd = memfd_create("filter", MFD_CLOEXEC);
	ctx = lib.init(act_errno | (ji(profile, "defaultErrnoRet") & 0xffff));
	if (ctx && fd >= 0 && !fill(&lib, ctx, profile) && !lib.export_bpf(ctx, fd) &&
	    !fstat(fd, &st)) {
		_cleanup_free_ char *raw = xmalloc(st.st_size + 1);

		if (pread(fd, raw, st.st_size, 0) == st.st_size)
			text = base64_encode(raw, st.st_size);
	}
	if (ctx)
		lib.release(ctx);
	if (fd >= 0)
		close(fd);
	dlclose(lib.handle);
	return text;
}
