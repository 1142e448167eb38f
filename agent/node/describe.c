// SPDX-License-Identifier: Apache-2.0
#include "node/describe.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "logger/logger.h"
#include "manager/ca.h"
#include "wire/pb.h"

static void add_plugin(Pb__EngineDescription *e, const char *type, const char *name)
{
	Pb__PluginDescription *p = pb_new(pb__plugin_description);

	pb_set_str(&p->type, type);
	pb_set_str(&p->name, name);
	pb_append(&e->n_plugins, &e->plugins, p);
}

/* "KIND=3" is a count, "KIND=name" one named thing; both may repeat. */
static void add_generic(Pb__Resources *r, const char *text)
{
	const char *eq = strchr(text, '=');
	Pb__GenericResource *g;
	int64_t n;

	if (!eq || eq == text || !eq[1])
		return;
	g = pb_new(pb__generic_resource);
	if (!parse_i64(eq + 1, 0, INT64_MAX, &n)) {
		g->resource_case = PB__GENERIC_RESOURCE__RESOURCE_DISCRETE;
		g->discrete = pb_new(pb__discrete_generic_resource);
		g->discrete->kind = xstrndup(text, eq - text);
		g->discrete->value = n;
	} else {
		g->resource_case = PB__GENERIC_RESOURCE__RESOURCE_NAMED;
		g->named = pb_new(pb__named_generic_resource);
		g->named->kind = xstrndup(text, eq - text);
		pb_set_str(&g->named->value, eq + 1);
	}
	pb_append(&r->n_generic, &r->generic, g);
}

static int64_t cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? sysconf(_SC_NPROCESSORS_ONLN)
						       : CPU_COUNT(&set);
}

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"

static Pb__NodeTLSInfo *tls_info(const char *roots, const char *cert)
{
	Pb__NodeTLSInfo *t = pb_new(pb__node_tlsinfo);
	void *subject, *key;
	size_t subject_size, key_size;
	struct ca_identity who;
	const char *next;

	pb_set_bytes(&t->trust_root, roots, strlen(roots));
	if (!ca_identity(cert, &who, NULL)) {
		pb_set_bytes(&t->cert_issuer_subject, who.issuer_subject, who.issuer_subject_size);
		ca_identity_done(&who);
	}
	/* the next certificate of the chain (during and after a rotation), else the root has signed */
	next = strstr(cert, PEM_END);
	next = next ? strstr(next, PEM_BEGIN) : NULL;
	if (!ca_subject_and_key(next ? next : roots, &subject, &subject_size, &key, &key_size,
				NULL)) {
		pb_set_bytes(&t->cert_issuer_public_key, key, key_size);
		free(subject);
		free(key);
	}
	return t;
}

Pb__NodeDescription *node_describe(const struct describe_options *opt)
{
	static const char *const plugins[][2] = {
		{"Network", "bridge"},	{"Network", "host"}, {"Network", "ipvlan"},
		{"Network", "macvlan"}, {"Network", "null"}, {"Network", "overlay"},
		{"Volume", "local"},
	};
	Pb__NodeDescription *d = pb_new(pb__node_description);
	struct utsname uts;
	struct sysinfo info;
	const char *key;
	json_t *value;
	char name[65] = "";
	size_t i;

	gethostname(name, sizeof(name) - 1);
	uname(&uts);
	pb_set_str(&d->hostname, opt->hostname ? opt->hostname : name);
	d->platform = pb_new(pb__platform);
	pb_set_str(&d->platform->architecture, uts.machine);
	pb_set_str(&d->platform->os, "linux");
	d->resources = pb_new(pb__resources);
	d->resources->nano_cpus = cores() * 1000000000;
	if (!sysinfo(&info))
		d->resources->memory_bytes = (int64_t)info.totalram * info.mem_unit;
	json_array_foreach (opt->generic, i, value)
		add_generic(d->resources, json_string_value(value));
	d->engine = pb_new(pb__engine_description);
	pb_set_str(&d->engine->engine_version, SWARM_VERSION);
	json_object_foreach ((json_t *)opt->labels, key, value)
		pb_set_label(&d->engine->n_labels, &d->engine->labels, key,
			     json_string_value(value));
	for (i = 0; i < ARRAY_SIZE(plugins); i++)
		add_plugin(d->engine, plugins[i][0], plugins[i][1]);
	for (const char *const *log = logger_drivers(); *log; log++)
		add_plugin(d->engine, "Log", *log);
	json_array_foreach (opt->plugins, i, value)
		add_plugin(d->engine, json_string_value(json_object_get(value, "Type")),
			   json_string_value(json_object_get(value, "Name")));
	if (opt->roots && opt->cert)
		d->tls_info = tls_info(opt->roots, opt->cert);
	return d;
}
