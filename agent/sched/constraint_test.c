// SPDX-License-Identifier: Apache-2.0
#include "sched/constraint.h"

#include <errno.h>

#include "wire/pb.h"

#include <kselftest_harness.h>

static Pb__Node *node(void)
{
	Pb__Node *n = pb_new(pb__node);
	Pb__NodeDescription *d = n->description = pb_new(pb__node_description);
	Pb__Annotations *a;

	pb_set_str(&n->id, "abc123");
	pb_set_str(&d->hostname, "Host-1");
	d->platform = pb_new(pb__platform);
	pb_set_str(&d->platform->os, "linux");
	pb_set_str(&d->platform->architecture, "x86_64");
	d->engine = pb_new(pb__engine_description);
	pb_set_label(&d->engine->n_labels, &d->engine->labels, "disk", "ssd");
	n->spec = pb_new(pb__node_spec);
	a = n->spec->annotations = pb_new(pb__annotations);
	pb_set_label(&a->n_labels, &a->labels, "zone", "East");
	n->status = pb_new(pb__node_status);
	pb_set_str(&n->status->addr, "192.0.2.7");
	n->role = PB__NODE_ROLE__MANAGER;
	return n;
}

/* 1: matches, 0: does not, negative: refused */
static int check(const char *expr)
{
	_cleanup_pb_ Pb__Node *n = node();
	char *exprs[] = {(char *)expr};
	struct constraints c;
	int rc = constraints_parse(exprs, 1, &c, NULL);

	if (rc)
		return rc;
	rc = constraints_match(&c, n);
	constraints_done(&c);
	return rc;
}

TEST(values_compare_without_case)
{
	static const struct {
		const char *expr;
		int want;
	} cases[] = {
		{"node.id==ABC123", 1},		{"node.id != abc123", 0},
		{"node.hostname == host-1", 1}, {"NODE.hostname == host-2", 0},
		{"node.role==manager", 1},	{"node.role!=worker", 1},
		{"node.platform.os==Linux", 1}, {"node.platform.arch==x86_64", 1},
		{"node.labels.zone==east", 1},	{"node.labels.Zone==east", 0},
		{"node.labels.rack!=r1", 1},	{"engine.labels.disk==ssd", 1},
		{"engine.labels.disk!=ssd", 0}, {"node.ip==192.0.2.7", 1},
		{"node.ip==192.0.2.0/28", 1},	{"node.ip!=192.0.2.0/28", 0},
		{"node.ip==192.0.2.128/25", 0}, {"node.ip!=2001:db8::/32", 1},
		{"node.ip!=nonsense", 0},	{"node.colour==red", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].want, check(cases[i].expr))
		{
			TH_LOG("%s", cases[i].expr);
		}
	}
}

TEST(bad_expressions_are_refused)
{
	static const struct {
		const char *expr, *why;
	} cases[] = {
		{"node.id", "constraint expected one operator from ==, !="},
		{"node.id=abc", "constraint expected one operator from ==, !="},
		{"1node==abc", "key '1node' is invalid"},
		{"==abc", "key '' is invalid"},
		{"node.id==", "value '' is invalid"},
		{"node.id==a&b", "value 'a&b' is invalid"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *exprs[] = {(char *)cases[i].expr};
		struct constraints c;
		struct err err = ERR_INIT;

		EXPECT_EQ(-EINVAL, constraints_parse(exprs, 1, &c, &err));
		EXPECT_STREQ(cases[i].why, err.msg);
	}
}

TEST_HARNESS_MAIN
