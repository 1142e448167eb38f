// SPDX-License-Identifier: Apache-2.0
/* gelf: JSON, packed and in chunks over UDP, each ended by a zero byte over TCP. */
#include <errno.h>
#include <zlib.h>

#include "core/when.h"
#include "logger/logger_impl.h"

enum { CHUNK = 1420, CHUNK_HEAD = 12, CHUNKS_MAX = 128, LEVEL_ERR = 3, LEVEL_INFO = 6 };

static int configure(struct logger *l, json_t *opts, struct err *err)
{
	static const char *const kinds[] = {
		[GELF_GZIP] = "gzip", [GELF_ZLIB] = "zlib", [GELF_NONE] = "none"};
	const char *address = js(opts, "gelf-address"), *kind = js(opts, "gelf-compression-type"),
		   *level = js(opts, "gelf-compression-level"),
		   *tries = js(opts, "gelf-tcp-max-reconnect"),
		   *wait = js(opts, "gelf-tcp-reconnect-delay");
	uint64_t seconds = 1;
	int64_t n = 1;
	size_t i = 0;

	if (!*address)
		return err_set(err, -EINVAL,
			       "gelf-address is a required parameter: give it as udp://host:port");
	if (log_address_parse(address, &l->address, err))
		return err_prefix(err, "gelf-address");
	if (l->address.proto != LOG_UDP && l->address.proto != LOG_TCP)
		return err_set(err, -EINVAL, "gelf: endpoint needs to be TCP or UDP");
	if (!l->address.port)
		return err_set(err, -EINVAL,
			       "gelf: please provide gelf-address as proto://host:port");
	if (*level && parse_i64(level, -1, 9, &n))
		return err_set(err, -EINVAL,
			       "unknown value \"%s\" for log opt \"gelf-compression-level\" for "
			       "gelf log driver",
			       level);
	while (*kind && i < ARRAY_SIZE(kinds) && strcmp(kind, kinds[i]))
		i++;
	if (i == ARRAY_SIZE(kinds))
		return err_set(err, -EINVAL,
			       "unknown value \"%s\" for log opt \"gelf-compression-type\" for "
			       "gelf log driver",
			       kind);
	if (l->address.proto == LOG_TCP && (*level || *kind))
		return err_set(err, -EINVAL,
			       "compression is only for UDP: do not set gelf-compression-type or "
			       "gelf-compression-level with TCP");
	if (l->address.proto == LOG_UDP && (*tries || *wait))
		return err_set(err, -EINVAL,
			       "gelf-tcp-max-reconnect and gelf-tcp-reconnect-delay are only for "
			       "TCP");
	if (*tries && parse_u64(tries, 0, UINT32_MAX, &l->retries))
		return err_set(err, -EINVAL, "invalid gelf-tcp-max-reconnect: \"%s\"", tries);
	if (*wait && parse_u64(wait, 1, 86400, &seconds))
		return err_set(err, -EINVAL, "invalid gelf-tcp-reconnect-delay: \"%s\"", wait);
	l->retry_ms = seconds * 1000;
	l->level = n;
	l->compression = i;
	return 0;
}

static void put_string(struct buf *out, const char *s, size_t len)
{
	json_t *v = json_stringn(s, len);
	_cleanup_free_ char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : xstrdup("\"\"");

	buf_str(out, text);
	json_decref(v);
}

static void put(struct buf *out, const char *name, const char *value)
{
	buf_char(out, ',');
	put_string(out, name, strlen(name));
	buf_char(out, ':');
	put_string(out, value, strlen(value));
}

static void describe(struct logger *l, const struct log_source *src, json_t *attributes)
{
	struct buf *out = &l->fixed;
	const char *key;
	char when[40];
	json_t *v;

	put(out, "_container_id", src->id);
	put(out, "_container_name", src->name);
	put(out, "_image_id", src->image_id);
	put(out, "_image_name", src->image_name);
	put(out, "_command", src->command);
	put(out, "_tag", l->tag);
	put(out, "_created", time_format(src->created_ns, when));
	json_object_foreach (attributes, key, v) {
		_cleanup_free_ char *name = xasprintf("%s%s", *key == '_' ? "" : "_", key);

		put(out, name, json_string_value(v));
	}
}

/* gzip (window 15 + 16) or zlib. Memory alone can make it fail: then it goes as it is. */
static void pack(const struct logger *l, const struct buf *in, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)in->data, .avail_in = in->len};
	size_t bound;

	if (l->compression == GELF_NONE ||
	    deflateInit2(&z, l->level, Z_DEFLATED, l->compression == GELF_GZIP ? 15 + 16 : 15, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		buf_add(out, in->data, in->len);
		return;
	}
	bound = deflateBound(&z, in->len);
	buf_grow(out, bound);
	z.next_out = (Bytef *)out->data;
	z.avail_out = bound;
	deflate(&z, Z_FINISH);
	out->len = z.total_out;
	out->data[out->len] = 0;
	deflateEnd(&z);
}

static void emit_chunks(struct logger *l, int64_t time_ns, const struct buf *packet,
			void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	size_t room = CHUNK - CHUNK_HEAD, n = (packet->len + room - 1) / room;
	uint64_t id = (uint64_t)time_ns + ++l->sequence;
	uint8_t chunk[CHUNK] = {0x1e, 0x0f};

	if (packet->len <= CHUNK) {
		emit(packet->data, packet->len, arg);
		return;
	}
	memcpy(chunk + 2, &id, sizeof(id));
	/* more than a receiver takes does not come up: a record is 16 KiB and its attributes 64 */
	for (size_t i = 0; n <= CHUNKS_MAX && i < n; i++) {
		size_t size = min(room, packet->len - i * room);

		chunk[10] = i;
		chunk[11] = n;
		memcpy(chunk + CHUNK_HEAD, packet->data + i * room, size);
		emit(chunk, CHUNK_HEAD + size, arg);
	}
}

static void encode(struct logger *l, const struct log_record_out *rec,
		   const struct log_piece *piece,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg)
{
	_cleanup_buf_ struct buf text = BUF_INIT, packet = BUF_INIT;

	(void)piece;
	if (!rec->len) /* a message without text is none */
		return;
	buf_str(&text, "{\"version\":\"1.1\",\"host\":");
	put_string(&text, l->hostname, strlen(l->hostname));
	buf_str(&text, ",\"short_message\":");
	put_string(&text, rec->line, rec->len);
	buf_printf(&text, ",\"timestamp\":%lld.%03d,\"level\":%d",
		   (long long)(rec->time_ns / 1000000000),
		   (int)(rec->time_ns % 1000000000 / 1000000),
		   rec->stream == 2 ? LEVEL_ERR : LEVEL_INFO);
	buf_add(&text, l->fixed.data, l->fixed.len);
	buf_char(&text, '}');
	if (l->address.proto == LOG_TCP) {
		buf_char(&text, 0);
		emit(text.data, text.len, arg);
		return;
	}
	pack(l, &text, &packet);
	emit_chunks(l, rec->time_ns, &packet, emit, arg);
}

static const char *const keys[] = {
	"gelf-address",		  "gelf-compression-level",   "gelf-compression-type",
	"gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay", NULL};

const struct log_driver log_gelf = {"gelf", keys, configure, describe, encode};
