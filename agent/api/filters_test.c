// SPDX-License-Identifier: Apache-2.0
/* The query parameter "filters": its forms, and what the matching functions make of it. */
#include <errno.h>

#include "api/api.h"
#include "kselftest_harness.h"

static const char *const names[] = {"id", "label", "label!", "name", "until", "flag", NULL};

static struct filters *parse(const char *text)
{
	struct filters *f = NULL;

	return filters_parse(text, names, &f, NULL) ? NULL : f;
}

TEST(forms)
{
	static const char *const bad[] = {"x",		"[]",		"{\"x\":[\"y\"]}",
					  "{\"id\":7}", "{\"id\":[7]}", "{\"id\":\"y\"}"};
	struct filters *f = parse("{\"id\":[\"a\",\"b\"],\"name\":{\"c\":true,\"d\":false}}");

	ASSERT_NE(NULL, f);
	EXPECT_TRUE(filters_match(f, "id", "b"));
	EXPECT_FALSE(filters_match(f, "id", "c"));
	EXPECT_TRUE(filters_match(f, "name", "c"));
	EXPECT_FALSE(filters_match(f, "name", "d"));
	EXPECT_TRUE(filters_match(f, "label", "anything: it is not set"));
	EXPECT_TRUE(filters_match_prefix(f, "id", "abc"));
	filters_free(f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(NULL, parse(bad[i]));
	f = parse("");
	EXPECT_FALSE(filters_has(f, "id"));
	filters_free(f);
}

TEST(labels)
{
	json_t *labels = json_pack("{s:s, s:s}", "a", "1", "b", "2");
	struct filters *f = parse("{\"label\":[\"a\",\"b=2\"],\"label!\":[\"c\",\"a=2\"]}");

	EXPECT_TRUE(filters_match_labels(f, "label", labels));
	EXPECT_TRUE(filters_exclude_labels(f, "label!", labels));
	json_object_set_new(labels, "c", json_string(""));
	EXPECT_FALSE(filters_exclude_labels(f, "label!", labels));
	json_object_del(labels, "a");
	EXPECT_FALSE(filters_match_labels(f, "label", labels));
	EXPECT_FALSE(filters_match_labels(f, "label", NULL));
	filters_free(f);
	json_decref(labels);
}

static bool finds(const char *pattern, const char *text)
{
	json_t *v = json_pack("{s:[s]}", "name", pattern);
	char *query = json_dumps(v, 0);
	struct filters *f = parse(query);
	bool found = filters_match_regex(f, "name", text);

	filters_free(f);
	free(query);
	json_decref(v);
	return found;
}

TEST(expressions)
{
	EXPECT_TRUE(finds("eb", "web"));
	EXPECT_TRUE(finds("^web$", "web"));
	EXPECT_FALSE(finds("^eb$", "web"));
	EXPECT_TRUE(finds("w(a|e)b", "web"));
	/* no valid or no harmless expression: the text itself */
	EXPECT_TRUE(finds("w(", "w("));
	EXPECT_FALSE(finds("(a{255}){255}", "a"));
	EXPECT_TRUE(finds("a{2}", "xa{2}"));
	EXPECT_FALSE(finds("(a)\\1", "aa"));
}

TEST(times)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"10m", 1000000000000000 - 600000000000},
		{"1h30m", 1000000000000000 - 5400000000000},
		{"1.5s", 1000000000000000 - 1500000000},
		{"5", 5000000000},
		{"1970-01-01T00:00:07Z", 7000000000},
	};
	static const char *const bad[] = {"yesterday", "10x", "m", "1h2", "999999999999h"};
	int64_t ns;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		json_t *v = json_pack("{s:[s]}", "until", good[i].text);
		char *query = json_dumps(v, 0);
		struct filters *f = parse(query);

		EXPECT_EQ(0, filters_until(f, 1000000000000000, &ns, NULL));
		EXPECT_EQ(good[i].ns, ns)
		{
			TH_LOG("%s: %lld", good[i].text, (long long)ns);
		}
		filters_free(f);
		free(query);
		json_decref(v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *v = json_pack("{s:[s]}", "until", bad[i]);
		char *query = json_dumps(v, 0);
		struct filters *f = parse(query);

		EXPECT_EQ(-EINVAL, filters_until(f, 0, &ns, NULL))
		{
			TH_LOG("%s", bad[i]);
		}
		filters_free(f);
		free(query);
		json_decref(v);
	}
}

TEST(truth)
{
	struct filters *f = parse("{\"flag\":[\"1\"],\"id\":[\"maybe\"]}");
	bool b = false;

	EXPECT_EQ(0, filters_bool(f, "flag", false, &b, NULL));
	EXPECT_TRUE(b);
	EXPECT_EQ(-EINVAL, filters_bool(f, "id", false, &b, NULL));
	filters_free(f);
}

TEST_HARNESS_MAIN
