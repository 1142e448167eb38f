// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "node/template.h"

static const struct template_label labels[] = {{"tier", "front"}};
static int call(void *arg, const char *function, const char *name, struct buf *out, struct err *err)
{
	(void)arg;
	if (!strcmp(name, "none"))
		return err_set(err, -ENOENT, "no %s", function);
	buf_printf(out, "%s of %s", function, name);
	return 0;
}

static const struct template_context ctx = {
	.service_name = "web",
	.service_labels = labels,
	.n_service_labels = 1,
	.node_hostname = "n1",
	.task_slot = "3",
};

TEST(expansions)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"plain {not} one", "plain {not} one"},
		{"{{.Service.Name}}-{{.Task.Slot}}@{{ .Node.Hostname }}", "web-3@n1"},
		{"{{index .Service.Labels \"tier\"}}", "front"},
		{"{{index .Service.Labels \"none\"}}", ""},
		{"{{index .Service.Labels `tier`}}", "front"},
		{"{{.Service.Labels.tier}}{{.Service.Labels.none}}", "front"},
		{"a \n {{- .Task.Slot -}} \t b", "a3b"},
		{"a {{-.Task.Slot}}", NULL},
		{"{{env \"A\"}}", NULL},
		{"{{.Task.ID}}", ""},
		{"{{.Nope}}", NULL},
		{"{{index .Service.Labels \"}}", NULL},
		{"{{.Service.Name", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = BUF_INIT;
		struct err err = ERR_INIT;
		int rc = template_expand(&ctx, cases[i].in, &out, &err);

		if (cases[i].out) {
			ASSERT_EQ(0, rc);
			ASSERT_STREQ(cases[i].out, out.data);
		} else {
			ASSERT_EQ(-EINVAL, rc);
			ASSERT_NE(0, err.msg[0]);
		}
		buf_done(&out);
	}
}

TEST(functions_of_files)
{
	struct template_context file = ctx;
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	file.call = call;
	ASSERT_EQ(0, template_expand(&file, "{{env \"A\"}}, {{ secret `b` }}, {{config \"c\"}}",
				     &out, &err));
	EXPECT_STREQ("env of A, secret of b, config of c", out.data);
	EXPECT_EQ(-ENOENT, template_expand(&file, "{{secret \"none\"}}", &out, &err));
	EXPECT_STREQ("no secret", err.msg);
	EXPECT_EQ(-EINVAL, template_expand(&file, "{{secret \"a\" \"b\"}}", &out, &err));
	EXPECT_EQ(-EINVAL, template_expand(&file, "{{secret}}", &out, &err));
	buf_done(&out);
}

TEST_HARNESS_MAIN
