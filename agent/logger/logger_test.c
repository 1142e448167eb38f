// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include <errno.h>
#include <zlib.h>

#include "logger/logger_impl.h"

static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/* 2026-01-02T03:04:05.006007008Z */
static const int64_t when = 1767323045006007008;

struct got {
	struct buf data;
	size_t sizes[200], n;
};

static void take(const void *p, size_t size, void *arg)
{
	struct got *g = arg;

	buf_add(&g->data, p, size);
	g->sizes[g->n++] = size;
}

/* A container as the tests have it; opts is stolen. */
static struct logger *open_logger(const char *driver, json_t *opts, struct err *err)
{
	json_t *labels = json_pack("{s:s, s:s, s:s}", "a", "1", "ab", "2", "c.d", "x\ny"),
	       *env = json_pack("[s, s, s]", "E=1", "F=a=b", "none");
	struct log_source src = {.id = id,
				 .name = "web",
				 .image_id = "sha256:feed",
				 .image_name = "alpine:3",
				 .command = "sh -c x",
				 .created_ns = when,
				 .labels = labels,
				 .env = env};
	struct logger *l = NULL;

	logger_new(driver, &src, opts, "host", 42, &l, err);
	json_decref(opts);
	json_decref(labels);
	json_decref(env);
	return l;
}

static void encode(struct logger *l, int stream, const char *line, bool partial, struct got *g)
{
	struct log_record_out rec = {.stream = stream,
				     .time_ns = when,
				     .line = line,
				     .len = strlen(line),
				     .partial = partial};

	logger_encode(l, &rec, take, g);
}

TEST(options_in_the_words_of_dockerd)
{
	const struct {
		const char *driver, *key, *value, *why; /* NULL: fine */
	} t[] = {
		{"json-file", "tag", "{{.Name}}", NULL},
		{"json-file", "x", "y", "unknown log opt 'x' for json-file log driver"},
		{"local", "tag", "y", "unknown log opt 'tag' for log driver local"},
		{"none", "x", "y", NULL},
		{"nosuch", "x", "y", "logger: no log driver named 'nosuch' is registered"},
		{"json-file", "mode", "x", "logger: logging mode not supported: x"},
		{"json-file", "max-buffer-size", "1m",
		 "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
		{"json-file", "compress", "x", "invalid value for option compress: x"},
		{"json-file", "labels-regex", "^a+$", NULL},
		{"syslog", "syslog-address", "x",
		 "syslog-address: should be in form proto://address, got x"},
		{"syslog", "syslog-facility", "24", "invalid syslog facility"},
		{"syslog", "syslog-facility", "local7", NULL},
		{"syslog", "syslog-format", "x", "Invalid syslog format"},
		{"syslog", "cache-max-file", "0",
		 "invalid value for cache-max-file: \"0\" must be a number from 1 to 1000"},
		{"syslog", "fluentd-address", "x",
		 "unknown log opt 'fluentd-address' for syslog log "
		 "driver"},
		{"journald", "labels", "a", NULL},
		{"fluentd", "fluentd-address", "host", NULL},
		{"fluentd", "fluentd-address", "udp://host:1",
		 "invalid fluentd-address udp://host:1: use tcp://host:port or unix:///path"},
		{"fluentd", "fluentd-retry-wait", "1",
		 "invalid fluentd-retry-wait \"1\": give a time from 1ms to 24h"},
		{"fluentd", "fluentd-async", "yes", "invalid value for option fluentd-async: yes"},
		{"gelf", "gelf-address", "udp://h",
		 "gelf: please provide gelf-address as "
		 "proto://host:port"},
		{"gelf", "gelf-address", "unix:///x", "gelf: endpoint needs to be TCP or UDP"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		json_t *opts = json_pack("{s:s}", t[i].key, t[i].value);
		struct err err = ERR_INIT;

		EXPECT_EQ(t[i].why ? -EINVAL : 0, logger_check(t[i].driver, opts, &err))
		TH_LOG("%s %s=%s", t[i].driver, t[i].key, t[i].value);
		if (t[i].why)
			EXPECT_STREQ(t[i].why, err.msg);
		json_decref(opts);
	}
}

TEST(limits_of_the_file)
{
	const struct {
		const char *size, *files;
		int rc;
		int64_t want;
		int want_files;
	} t[] = {
		{"", "", 0, 0, 1},
		{"10m", "3", 0, 10 << 20, 3},
		{"1.5KiB", "", 0, 1536, 1},
		{"2g", "", 0, 2ll << 30, 1},
		{"77", "", 0, 77, 1},
		{"1b", "", 0, 1, 1},
		{"ten", "", -EINVAL, 0, 1},
		{"10x", "", -EINVAL, 0, 1},
		{"-5m", "", -EINVAL, 0, 1},
		{"10m", "0", -EINVAL, 0, 1},
		{"", "2", -EINVAL, 0, 1},
		{"nan", "", -EINVAL, 0, 1},
		{"1e300", "", -EINVAL, 0, 1},
	};
	struct log_file_limits limits = {0};
	json_t *none = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		json_t *opts =
			json_pack("{s:s, s:s}", "max-size", t[i].size, "max-file", t[i].files);

		EXPECT_EQ(t[i].rc, logger_limits("json-file", opts, &limits, NULL))
		TH_LOG("size %s", t[i].size);
		if (!t[i].rc) {
			EXPECT_EQ(t[i].want, limits.size);
			EXPECT_EQ(t[i].want_files, limits.files);
		}
		json_decref(opts);
	}
	EXPECT_EQ(0, logger_limits("syslog", none, &limits, NULL));
	EXPECT_EQ(20 << 20, limits.size);
	EXPECT_EQ(5, limits.files);
	EXPECT_TRUE(limits.readable);
	json_decref(none);
}

TEST(addresses)
{
	const struct {
		const char *text, *host; /* NULL: none */
		enum log_proto proto;
		int port;
	} t[] = {
		{"tcp://h:1", "h", LOG_TCP, 1},
		{"tcp+tls://h:1", "h", LOG_TLS, 1},
		{"udp://h", "h", LOG_UDP, 0},
		{"udp://[::1]:514", "::1", LOG_UDP, 514},
		{"unix:///dev/log", "/dev/log", LOG_UNIX, 0},
		{"unixgram:///x", "/x", LOG_UNIXGRAM, 0},
		{"unix://x", NULL, 0, 0},
		{"http://h", NULL, 0, 0},
		{"tcp://", NULL, 0, 0},
		{"tcp://:1", NULL, 0, 0},
		{"tcp://h:x", NULL, 0, 0},
		{"tcp://h:70000", NULL, 0, 0},
		{"tcp://[::1", NULL, 0, 0},
		{"tcp://h:1/x", NULL, 0, 0},
		{"://h", NULL, 0, 0},
		{"", NULL, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct log_address a = {0};

		EXPECT_EQ(t[i].host ? 0 : -EINVAL, log_address_parse(t[i].text, &a, NULL))
		TH_LOG("%s", t[i].text);
		if (t[i].host) {
			EXPECT_STREQ(t[i].host, a.host);
			EXPECT_EQ(t[i].proto, a.proto);
			EXPECT_EQ(t[i].port, a.port);
		}
		log_address_done(&a);
	}
}

TEST(tags)
{
	const struct {
		const char *tag, *want; /* NULL: refused */
	} t[] = {
		{"", "0123456789ab"},
		{"plain", "plain"},
		{"{{.Name}}/{{ .ImageName }}", "web/alpine:3"},
		{"{{.FullID}}", id},
		{"{{.ContainerName}}", "/web"},
		{"{{.DaemonName}}: {{.Command}}", "docker: sh -c x"},
		{"{{upper .Name}}{{.Name | upper}}", "WEBWEB"},
		{"{{index .ContainerLabels \"ab\"}}", "2"},
		{"{{index .ContainerLabels \"none\"}}", ""},
		{"{{.Nope}}", NULL},
		{"{{nope .Name}}", NULL},
		{"{{}}", NULL},
		{"{{.Name", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct err err = ERR_INIT;
		struct logger *l =
			open_logger("journald", json_pack("{s:s}", "tag", t[i].tag), &err);

		EXPECT_EQ(!!t[i].want, !!l)
		TH_LOG("%s", t[i].tag);
		if (l && t[i].want)
			EXPECT_STREQ(t[i].want, l->tag);
		logger_free(l);
	}
}

TEST(details_are_escaped_and_in_order)
{
	json_t *attributes = json_pack("{s:s, s:s}", "b c", "x=y,z", "a", "~\n");
	struct buf out = BUF_INIT;

	logger_details(attributes, &out);
	EXPECT_STREQ("a=~%0A,b+c=x%3Dy%2Cz", out.data);
	json_decref(attributes);
	buf_done(&out);
}

/* RFC 3164 4.1, RFC 5424 6, RFC 5425 4.3. */
TEST(syslog_messages)
{
	const struct {
		const char *address, *format, *want;
		int stream;
	} t[] = {
		{"udp://h", "rfc5424",
		 "<30>1 2026-01-02T03:04:05Z host 0123456789ab 42 0123456789ab - hi\n", 1},
		{"tcp://h", "rfc5424micro",
		 "<27>1 2026-01-02T03:04:05.006007Z host 0123456789ab 42 0123456789ab - hi\n", 2},
		{"tcp+tls://h", "rfc5424",
		 "66 <30>1 2026-01-02T03:04:05Z host 0123456789ab 42 0123456789ab - hi\n", 1},
		{"tcp://h", "rfc3164", "<30>Jan  2 03:04:05 host 0123456789ab[42]: hi\n", 1},
		{"tcp://h", "", "<30>Jan  2 03:04:05 0123456789ab[42]: hi\n", 1},
	};

	setenv("TZ", "UTC", 1);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct got g = {.data = BUF_INIT};
		struct err err = ERR_INIT;
		struct logger *l =
			open_logger("syslog",
				    json_pack("{s:s, s:s}", "syslog-address", t[i].address,
					      "syslog-format", t[i].format),
				    &err);

		ASSERT_NE(NULL, l);
		encode(l, t[i].stream, "hi", false, &g);
		EXPECT_STREQ(t[i].want, g.data.data);
		EXPECT_EQ(1, g.n);
		logger_free(l);
		buf_done(&g.data);
	}
}

/* systemd, "Native Journal Protocol": what holds a newline has its length in front. */
TEST(journald_fields)
{
	static const char want[] =
		"CONTAINER_ID=0123456789ab\n"
		"CONTAINER_ID_FULL="
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
		"CONTAINER_NAME=web\nCONTAINER_TAG=0123456789ab\nIMAGE_NAME=alpine:3\n"
		"SYSLOG_IDENTIFIER=0123456789ab\nC_D\n\3\0\0\0\0\0\0\0x\ny\n"
		"PRIORITY=3\nSYSLOG_TIMESTAMP=2026-01-02T03:04:05.006007008Z\nMESSAGE=hi\n";
	struct got g = {.data = BUF_INIT};
	struct err err = ERR_INIT;
	struct logger *l = open_logger("journald", json_pack("{s:s}", "labels", "c.d"), &err);

	ASSERT_NE(NULL, l);
	encode(l, 2, "hi", false, &g);
	EXPECT_EQ(sizeof(want) - 1, g.data.len);
	EXPECT_EQ(0, memcmp(want, g.data.data, min(g.data.len, sizeof(want) - 1)));
	logger_free(l);
	buf_done(&g.data);
}

/* MessagePack: 0x93 array of 3, 0xac string of 12, 0xd7 0x00 EventTime, 0xce u32, 0x84 map of 4. */
TEST(fluentd_messages)
{
	static const char want[] =
		"\x93\xac"
		"0123456789ab\xd7\0\x69\x57\x35\xa5\0\x5b\xa8\xe0\x85\xa6source\xa6stdout\xa3log"
		"\xa2hi"
		"\xac"
		"container_id\xd9\x40"
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		"\xae"
		"container_name\xa4/web\xa1"
		"F\xa3"
		"a=b";
	static const char seconds[] = "\x93\xac"
				      "0123456789ab\xce\x69\x57\x35\xa5\x88";
	struct got g = {.data = BUF_INIT};
	struct err err = ERR_INIT;
	struct logger *l = open_logger(
		"fluentd",
		json_pack("{s:s, s:s}", "env-regex", "^F$", "fluentd-sub-second-precision", "true"),
		&err);

	ASSERT_NE(NULL, l);
	encode(l, 1, "hi", false, &g);
	EXPECT_EQ(sizeof(want) - 1, g.data.len);
	EXPECT_EQ(0, memcmp(want, g.data.data, min(g.data.len, sizeof(want) - 1)));
	logger_free(l);
	buf_reset(&g.data);
	l = open_logger("fluentd", json_object(), &err);
	ASSERT_NE(NULL, l);
	encode(l, 1, "part", true, &g);
	EXPECT_EQ(0, memcmp(seconds, g.data.data, sizeof(seconds) - 1));
	EXPECT_NE(NULL, memmem(g.data.data, g.data.len,
			       "partial_ordinal\xa1"
			       "1",
			       17));
	EXPECT_NE(NULL, memmem(g.data.data, g.data.len,
			       "partial_last\xa5"
			       "false",
			       18));
	buf_reset(&g.data);
	encode(l, 2, "other stream", false, &g);
	EXPECT_EQ(NULL, memmem(g.data.data, g.data.len, "partial", 7));
	buf_reset(&g.data);
	encode(l, 1, "end", false, &g);
	EXPECT_NE(NULL, memmem(g.data.data, g.data.len,
			       "partial_ordinal\xa1"
			       "2",
			       17));
	EXPECT_NE(NULL, memmem(g.data.data, g.data.len,
			       "partial_last\xa4"
			       "true",
			       17));
	logger_free(l);
	buf_done(&g.data);
}

TEST(gelf_over_tcp)
{
	struct got g = {.data = BUF_INIT};
	struct err err = ERR_INIT;
	struct logger *l = open_logger(
		"gelf", json_pack("{s:s, s:s}", "gelf-address", "tcp://h:1", "labels", "a"), &err);

	ASSERT_NE(NULL, l);
	encode(l, 2, "say \"hi\"", false, &g);
	EXPECT_STREQ("{\"version\":\"1.1\",\"host\":\"host\",\"short_message\":\"say \\\"hi\\\"\","
		     "\"timestamp\":1767323045.006,\"level\":3,\"_container_id\":"
		     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
		     "\"_container_name\":\"web\",\"_image_id\":\"sha256:feed\",\"_image_name\":"
		     "\"alpine:3\",\"_command\":\"sh -c x\",\"_tag\":\"0123456789ab\",\"_created\":"
		     "\"2026-01-02T03:04:05.006007008Z\",\"_a\":\"1\"}",
		     g.data.data);
	EXPECT_EQ(strlen(g.data.data) + 1, g.data.len);
	buf_reset(&g.data);
	encode(l, 1, "", false, &g);
	EXPECT_EQ(0, g.data.len);
	logger_free(l);
	buf_done(&g.data);
}

/* Chunks of 1420 bytes: 0x1e 0x0f, eight bytes of the message's id, which one, of how many. */
TEST(gelf_over_udp)
{
	struct got g = {.data = BUF_INIT};
	struct err err = ERR_INIT;
	char line[5001], text[8192];
	uLongf size = sizeof(text);
	struct logger *l;

	memset(line, 'x', 5000);
	line[5000] = 0;
	l = open_logger("gelf",
			json_pack("{s:s, s:s}", "gelf-address", "udp://h:1",
				  "gelf-compression-type", "none"),
			&err);
	ASSERT_NE(NULL, l);
	encode(l, 1, line, false, &g);
	ASSERT_EQ(4, g.n);
	for (size_t i = 0, at = 0; i < g.n; at += g.sizes[i++]) {
		const unsigned char *chunk = (unsigned char *)g.data.data + at;

		EXPECT_EQ(0, memcmp("\x1e\x0f", chunk, 2));
		EXPECT_EQ(0, memcmp(g.data.data + 2, chunk + 2, 8));
		EXPECT_EQ(i, chunk[10]);
		EXPECT_EQ(4, chunk[11]);
		EXPECT_TRUE(i == 3 ? g.sizes[i] < 1420 : g.sizes[i] == 1420);
	}
	logger_free(l);
	buf_reset(&g.data);
	g.n = 0;
	l = open_logger("gelf",
			json_pack("{s:s, s:s}", "gelf-address", "udp://h:1",
				  "gelf-compression-type", "zlib"),
			&err);
	ASSERT_NE(NULL, l);
	encode(l, 1, line, false, &g);
	EXPECT_EQ(1, g.n);
	EXPECT_EQ(Z_OK, uncompress((Bytef *)text, &size, (Bytef *)g.data.data, g.data.len));
	EXPECT_EQ(0, memcmp("{\"version\":\"1.1\"", text, 16));
	logger_free(l);
	buf_done(&g.data);
}

TEST_HARNESS_MAIN
