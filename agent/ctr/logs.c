// SPDX-License-Identifier: Apache-2.0
#include "ctr/logs.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "core/when.h"
#include "ctr/ctr_impl.h"
#include "logger/logger.h"

enum { CHUNK = 64 << 10, RECORD_MAX = 256 << 10, FILES_MAX = 1000 };

struct log_reader {
	struct ctr *c; /* NULL once it is removed */
	struct loop *loop;
	struct log_query q;
	struct log_sink sink;
	char *path;
	int n; /* of the file that is read: PATH.n, 0 is PATH */
	int fd;
	struct buf have;
	struct log_position at; /* of what comes next */
	bool paused, queued, done, in_step, closed, ctr_over;
	int inotify;
	struct event *ev;
	struct ctr_watch watch;
};

static char *file_name(const struct log_reader *r, int n)
{
	return n ? xasprintf("%s.%d", r->path, n) : xstrdup(r->path);
}

static int open_file(const struct log_reader *r, int n)
{
	_cleanup_free_ char *name = file_name(r, n);

	return open(name, O_RDONLY | O_CLOEXEC);
}

/* Read fd from where it stands. */
static void take_file(struct log_reader *r, int fd, int n)
{
	struct stat st;

	r->fd = fd;
	r->n = n;
	r->at = (struct log_position){.inode = fd >= 0 && !fstat(fd, &st) ? st.st_ino : 0,
				      .offset = fd >= 0 ? lseek(fd, 0, SEEK_CUR) : 0};
}

/* --- where the tail begins --- */

/* The offset of the last want lines of a file; *ret_lines: how many it has, at most want. */
static off_t tail_offset(int fd, int64_t want, int64_t *ret_lines)
{
	off_t size = lseek(fd, 0, SEEK_END), pos = size, answer = 0;
	_cleanup_free_ char *chunk = xmalloc(CHUNK);
	int64_t lines = 0;

	while (pos > 0) {
		size_t n = min((off_t)CHUNK, pos);

		pos -= n;
		if (pread(fd, chunk, n, pos) != (ssize_t)n)
			break;
		for (size_t i = n; i-- > 0;) {
			if (chunk[i] != '\n' || pos + (off_t)i == size - 1)
				continue;
			if (++lines == want) {
				*ret_lines = want;
				return pos + i + 1;
			}
		}
	}
	*ret_lines = size > 0 ? lines + 1 : 0;
	return answer;
}

/* false: that place is no more. */
static bool seek_position(struct log_reader *r, int oldest, const struct log_position *from)
{
	for (int n = 0; n <= oldest; n++) {
		int fd = open_file(r, n);
		struct stat st;
		char before = '\n';

		if (fd < 0)
			continue;
		/* a new file may have got the number of one that is gone */
		if (!fstat(fd, &st) && st.st_ino == from->inode && st.st_size >= from->offset &&
		    (!from->offset || pread(fd, &before, 1, from->offset - 1) == 1) &&
		    before == '\n') {
			lseek(fd, from->offset, SEEK_SET);
			take_file(r, fd, n);
			return true;
		}
		close(fd);
	}
	return false;
}

/* The tail counts lines of both streams, before the other filters. */
static void seek_start(struct log_reader *r, const struct log_position *from)
{
	int oldest = 0;
	int64_t want = r->q.tail;

	while (oldest < FILES_MAX) {
		_cleanup_free_ char *name = file_name(r, oldest + 1);

		if (access(name, F_OK))
			break;
		oldest++;
	}
	r->n = oldest;
	if (from && seek_position(r, oldest, from))
		return;
	if (want < 0) {
		take_file(r, open_file(r, oldest), oldest);
		return;
	}
	for (int n = 0; n <= oldest; n++) {
		int fd = open_file(r, n);
		int64_t lines = 0;
		off_t at = 0;

		if (fd < 0)
			continue;
		if (want)
			at = tail_offset(fd, want, &lines);
		else
			at = lseek(fd, 0, SEEK_END);
		want -= lines;
		if (want <= 0 || n == oldest) {
			lseek(fd, at, SEEK_SET);
			take_file(r, fd, n);
			return;
		}
		close(fd);
	}
}

/* --- records --- */

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static size_t put_utf8(char *dst, unsigned int c)
{
	if (c < 0x80) {
		dst[0] = c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = 0xc0 | c >> 6;
		dst[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	dst[0] = 0xe0 | c >> 12;
	dst[1] = 0x80 | (c >> 6 & 0x3f);
	dst[2] = 0x80 | (c & 0x3f);
	return 3;
}

/* Undo JSON's escapes in place, from behind the opening quote. Returns the closing quote or NULL. */
static char *unescape(char *s, char *end, size_t *ret_len)
{
	char *out = s, *p = s;

	while (p < end && *p != '"') {
		unsigned int v = 0;

		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		if (++p >= end)
			return NULL;
		switch (*p) {
		case 'n':
			*out++ = '\n';
			break;
		case 't':
			*out++ = '\t';
			break;
		case 'r':
			*out++ = '\r';
			break;
		case 'b':
			*out++ = '\b';
			break;
		case 'f':
			*out++ = '\f';
			break;
		case 'u':
			if (end - p < 5)
				return NULL;
			for (int i = 1; i <= 4; i++) {
				if (hex_value(p[i]) < 0)
					return NULL;
				v = v << 4 | hex_value(p[i]);
			}
			out += put_utf8(out, v);
			p += 4;
			break;
		default:
			*out++ = *p;
		}
		p++;
	}
	*ret_len = out - s;
	return p < end ? p : NULL;
}

/* Behind an object of strings, or NULL. */
static char *object_end(char *p, const char *end)
{
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string && *p == '\\')
			p++;
		else if (*p == '"')
			in_string = !in_string;
		else if (!in_string && *p == '}')
			return p + 1;
	}
	return NULL;
}

void log_record_details(const struct log_record *rec, struct buf *out)
{
	json_t *attributes = json_loadb(rec->attributes, rec->attributes_len, 0, NULL);

	logger_details(attributes, out);
	json_decref(attributes);
}

/* One line as the monitor writes it; false for a damaged one. */
static bool parse(char *line, size_t len, struct log_record *rec)
{
	static const char head[] = "{\"log\":\"", stream[] = "\",\"stream\":\"",
			  attrs_key[] = ",\"attrs\":", time_key[] = ",\"time\":\"";
	char *end = line + len, *p, *closing;
	char when[40];
	size_t n;

	if (len < sizeof(head) || memcmp(line, head, sizeof(head) - 1))
		return false;
	rec->data = line + sizeof(head) - 1;
	p = unescape(line + sizeof(head) - 1, end, &rec->len);
	if (!p || end - p < 40 || memcmp(p, stream, sizeof(stream) - 1))
		return false;
	p += sizeof(stream) - 1;
	rec->stream = p[3] == 'o' ? 1 : 2;
	p += 7;
	rec->attributes = "";
	rec->attributes_len = 0;
	if (!memcmp(p, attrs_key, sizeof(attrs_key) - 1)) {
		p += sizeof(attrs_key) - 1;
		closing = object_end(p, end);
		if (!closing)
			return false;
		rec->attributes = p;
		rec->attributes_len = closing - p;
		p = closing;
	}
	if ((size_t)(end - p) < sizeof(time_key) || memcmp(p, time_key, sizeof(time_key) - 1))
		return false;
	p += sizeof(time_key) - 1;
	n = strcspn(p, "\"");
	if (n >= sizeof(when))
		return false;
	memcpy(when, p, n);
	when[n] = 0;
	return !time_parse(when, &rec->time_ns, NULL);
}

/* false: it is over (until). */
static bool deliver(struct log_reader *r, char *line, size_t len)
{
	struct log_record rec;

	if (!parse(line, len, &rec))
		return true;
	if (r->q.until_ns && rec.time_ns > r->q.until_ns)
		return false;
	if (rec.time_ns < r->q.since_ns || (rec.stream == 1 ? !r->q.out : !r->q.err))
		return true;
	r->sink.record(&rec, r->sink.arg);
	return true;
}

/* --- the walk --- */

static void step(void *arg);

static void queue(struct log_reader *r)
{
	if (r->queued || r->paused || r->done)
		return;
	r->queued = true;
	loop_defer(r->loop, step, r);
}

static void reader_free(struct log_reader *r)
{
	if (r->ev)
		event_free(r->ev);
	if (r->inotify >= 0)
		close(r->inotify);
	if (r->fd >= 0)
		close(r->fd);
	buf_done(&r->have);
	free(r->path);
	free(r);
}

static void end(struct log_reader *r)
{
	r->done = true;
	if (!r->closed)
		r->sink.end(r->sink.arg);
}

/* The complete lines that are here. false: it is over. */
static bool drain_lines(struct log_reader *r)
{
	size_t at = 0;
	bool more = true;

	while (more && !r->paused && !r->closed) {
		char *line = r->have.data + at, *nl = memchr(line, '\n', r->have.len - at);

		if (!nl)
			break;
		r->at.offset += nl - line + 1;
		more = deliver(r, line, nl - line);
		at += nl - line + 1;
	}
	buf_consume(&r->have, at);
	if (r->have.len > RECORD_MAX && !memchr(r->have.data, '\n', r->have.len)) {
		r->at.offset += r->have.len;
		buf_reset(&r->have);
	}
	return more;
}

/* The file that is read has been renamed, and a newer one is there. */
static bool rotated(struct log_reader *r)
{
	struct stat mine, now;

	return r->n > 0 || r->fd < 0 ||
	       (!stat(r->path, &now) && !fstat(r->fd, &mine) &&
		(now.st_ino != mine.st_ino || now.st_dev != mine.st_dev));
}

/* Which file follows the one that was read to its end. Rotation renames under us: go by inode. */
static bool next_file(struct log_reader *r)
{
	struct stat mine, st;
	int fd;

	if (!rotated(r))
		return false;
	if (r->fd >= 0 && !fstat(r->fd, &mine)) {
		/* find where ours is now */
		for (int n = 0; n < FILES_MAX; n++) {
			_cleanup_free_ char *name = file_name(r, n);

			if (stat(name, &st))
				break;
			if (st.st_ino == mine.st_ino && st.st_dev == mine.st_dev) {
				r->n = n;
				break;
			}
		}
	}
	if (r->n > 0)
		r->n--;
	fd = open_file(r, r->n);
	if (fd < 0)
		return false;
	if (r->fd >= 0)
		close(r->fd);
	take_file(r, fd, r->n);
	buf_reset(&r->have);
	return true;
}

static void step(void *arg)
{
	struct log_reader *r = arg;
	_cleanup_free_ char *chunk = NULL;
	ssize_t n = 0;

	r->queued = false;
	if (r->closed) {
		reader_free(r);
		return;
	}
	if (r->paused || r->done)
		return;
	r->in_step = true;
	if (!drain_lines(r)) {
		end(r);
	} else if (!r->paused && !r->closed) {
		bool over = r->ctr_over; /* looked at before the end of the file is */

		chunk = xmalloc(CHUNK);
		if (r->fd >= 0)
			n = read(r->fd, chunk, CHUNK);
		if (n > 0) {
			buf_add(&r->have, chunk, n);
			queue(r);
		} else if (next_file(r)) {
			queue(r);
		} else if (!r->q.follow || over) {
			end(r);
		}
	}
	r->in_step = false;
	if (r->closed && !r->queued)
		reader_free(r);
}

static void on_inotify(evutil_socket_t fd, short what, void *arg)
{
	char junk[4096];

	(void)what;
	while (read(fd, junk, sizeof(junk)) > 0)
		;
	queue(arg);
}

static void on_ctr(struct ctr *c, enum ctr_event ev, void *arg)
{
	struct log_reader *r = arg;

	if (c != r->c || (ev != CTR_EV_EXITED && ev != CTR_EV_REMOVED))
		return;
	r->ctr_over = true;
	r->c = ev == CTR_EV_REMOVED ? NULL : r->c;
	queue(r);
}

static void follow(struct log_reader *r)
{
	_cleanup_free_ char *dir = xstrdup(r->path);

	*strrchr(dir, '/') = 0;
	r->watch = (struct ctr_watch){.fn = on_ctr, .arg = r};
	ctrs_watch(r->c->ctrs, &r->watch);
	/* the folder: its files change their names */
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->inotify < 0)
		return;
	inotify_add_watch(r->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	r->ev = event_new(loop_base(r->loop), r->inotify, EV_READ | EV_PERSIST, on_inotify, r);
	event_add(r->ev, NULL);
}

int logs_open(struct ctr *c, const struct log_query *q, const struct log_sink *sink,
	      struct log_reader **ret, struct err *err)
{
	struct log_reader *r;

	if (!*c->log_path || (!q->from && !ctr_log_readable(c)))
		return err_set(err, -EINVAL, "configured logging driver does not support reading");
	r = xcalloc(1, sizeof(*r));
	r->c = c;
	r->loop = c->ctrs->opt.loop;
	r->q = *q;
	r->sink = *sink;
	r->path = xstrdup(c->log_path);
	r->fd = r->inotify = -1;
	buf_init(&r->have);
	list_init(&r->watch.node);
	r->ctr_over = !ctr_running(c) && c->status != CTR_RESTARTING && !c->busy;
	r->q.from = NULL; /* was borrowed */
	seek_start(r, q->from);
	if (q->follow && !r->ctr_over)
		follow(r);
	queue(r);
	*ret = r;
	return 0;
}

struct log_position logs_position(const struct log_reader *r)
{
	return r->at;
}

void logs_pause(struct log_reader *r)
{
	r->paused = true;
}

void logs_resume(struct log_reader *r)
{
	r->paused = false;
	queue(r);
}

void logs_close(struct log_reader *r)
{
	if (!r)
		return;
	ctrs_unwatch(&r->watch);
	r->closed = true;
	if (!r->queued && !r->in_step)
		reader_free(r);
}
