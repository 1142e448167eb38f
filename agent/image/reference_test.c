// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "image/reference.h"

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(references)
{
	static const struct {
		const char *in, *name, *tag, *familiar; /* name NULL: refused */
	} cases[] = {
		{"alpine", "docker.io/library/alpine", "latest", "alpine"},
		{"eon01/infinite:2", "docker.io/eon01/infinite", "2", "eon01/infinite"},
		{"docker.io/alpine", "docker.io/library/alpine", "latest", "alpine"},
		{"localhost:5000/a/b:T_1.x", "localhost:5000/a/b", "T_1.x", "localhost:5000/a/b"},
		{"reg.example/x@" D, "reg.example/x", "", "reg.example/x"},
		{"a__b/c--d.e", "docker.io/a__b/c--d.e", "latest", "a__b/c--d.e"},
		{"", NULL, NULL, NULL},
		{"Alpine", NULL, NULL, NULL},
		{"a:", NULL, NULL, NULL},
		{"a//b", NULL, NULL, NULL},
		{"/a", NULL, NULL, NULL},
		{"a/", NULL, NULL, NULL},
		{"a___b", NULL, NULL, NULL},
		{"a..b", NULL, NULL, NULL},
		{"-a", NULL, NULL, NULL},
		{"a@sha256:12", NULL, NULL, NULL},
		{"a b", NULL, NULL, NULL},
		{"a:b:c", NULL, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reference r;
		struct err err = ERR_INIT;
		int rc = reference_parse(cases[i].in, &r, &err);

		ASSERT_EQ(cases[i].name ? 0 : -EINVAL, rc) TH_LOG("%s", cases[i].in);
		if (rc)
			continue;
		ASSERT_STREQ(cases[i].name, r.name);
		ASSERT_STREQ(cases[i].tag, r.tag);
		ASSERT_STREQ(cases[i].familiar, reference_familiar(&r));
	}
}

TEST_HARNESS_MAIN
