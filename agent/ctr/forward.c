// SPDX-License-Identifier: Apache-2.0
#include "ctr/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/log.h"
#include "ctr/ctr_impl.h"
#include "ctr/logs.h"
#include "logger/dest.h"
#include "logger/logger.h"

#define INIT_FAILED "failed to create task for container: failed to initialize logging driver"

enum { BACKOFF_MAX_MS = 60000, LEAVE_MS = 10000 };

struct forward {
	struct list_head node; /* of ctrs->forwards */
	struct ctr *c; /* NULL: it is removed */
	struct loop *loop;
	char *name; /* of the container, for messages */
	struct logger *logger;
	struct log_dest *dest;
	struct log_reader *reader;
	struct log_position sent, reached; /* known to be sent; of what was last handed to dest */
	int state_fd;
	struct timer retry, leave, save;
	uint64_t failures;
	bool up, lost, running, read_all, warned;
	void (*prepared)(const struct err *err, void *arg);
	void *arg;
};

/* --- the place up to which it is sent --- */

static void load(struct forward *f)
{
	_cleanup_free_ char *path = xasprintf("%s/log-sent", f->c->dir);
	char text[64] = "";

	f->state_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->state_fd < 0) {
		log_warn("container %s: %s cannot be written, its log may be sent twice: %s",
			 f->name, path, strerror(errno));
		return;
	}
	if (pread(f->state_fd, text, sizeof(text) - 1, 0) > 0 &&
	    sscanf(text, "%" SCNu64 " %" SCNd64, &f->sent.inode, &f->sent.offset) != 2)
		f->sent = (struct log_position){0};
}

/* In place and of one length: a crash of the agent does not tear one write. */
static void save(struct forward *f)
{
	char text[64];
	int n;

	if (f->sent.inode == f->reached.inode && f->sent.offset == f->reached.offset)
		return;
	f->sent = f->reached;
	n = snprintf(text, sizeof(text), "%20" PRIu64 " %20" PRId64 "\n", f->sent.inode,
		     f->sent.offset);
	if (f->state_fd >= 0 && pwrite(f->state_fd, text, n, 0) != n && !f->warned) {
		f->warned = true;
		log_warn("container %s: how far its log is sent cannot be noted: %s", f->name,
			 strerror(errno));
	}
}

/* --- its life --- */

static void forward_free(struct forward *f)
{
	logs_close(steal_ptr(f->reader));
	log_dest_close(steal_ptr(f->dest));
	timer_done(&f->retry);
	timer_done(&f->leave);
	timer_done(&f->save);
	if (f->c)
		f->c->forward = NULL;
	list_del(&f->node);
	if (f->state_fd >= 0)
		close(f->state_fd);
	logger_free(f->logger);
	free(f->name);
	free(f);
}

/* All is read and sent. */
static bool finished(struct forward *f)
{
	if (!f->read_all || log_dest_unsent(f->dest))
		return false;
	save(f);
	forward_free(f);
	return true;
}

static void save_due(void *arg)
{
	struct forward *f = arg;

	if (!f->up || f->lost)
		return;
	if (!log_dest_unsent(f->dest))
		save(f);
	finished(f);
}

/* Once for all the records of a turn of the loop. */
static void save_soon(struct forward *f)
{
	if (!timer_pending(&f->save))
		timer_set(&f->save, 0);
}

/* --- records --- */

static void emit(const void *p, size_t size, void *arg)
{
	struct forward *f = arg;

	f->lost |= log_dest_send(f->dest, p, size) < 0;
}

static void on_record(const struct log_record *rec, void *arg)
{
	struct forward *f = arg;
	bool whole = rec->len && rec->data[rec->len - 1] == '\n';
	struct log_record_out out = {
		.stream = rec->stream,
		.time_ns = rec->time_ns,
		.line = rec->data,
		.len = rec->len - whole,
		/* the last line may end with the container, too: only a full record goes on */
		.partial = !whole && rec->len >= SHIM_LINE_MAX,
	};

	logger_encode(f->logger, &out, emit, f);
	if (f->lost) { /* on_down() comes */
		logs_pause(f->reader);
		return;
	}
	f->reached = logs_position(f->reader);
	if (log_dest_unsent(f->dest) > logger_window(f->logger))
		logs_pause(f->reader);
	else
		save_soon(f);
}

static void on_read_all(void *arg)
{
	struct forward *f = arg;

	logs_close(steal_ptr(f->reader));
	f->read_all = true;
	save_soon(f);
}

static void read_on(struct forward *f)
{
	static const struct log_query all = {.out = true, .err = true, .follow = true, .tail = -1};
	struct log_sink sink = {.record = on_record, .end = on_read_all, .arg = f};
	struct log_query q = all;
	struct err err = ERR_INIT;

	if (f->reader || !f->up || !f->running || !f->c)
		return;
	q.from = &f->sent;
	f->read_all = false;
	if (logs_open(f->c, &q, &sink, &f->reader, &err))
		log_warn("container %s: its log cannot be read: %s", f->name, err.msg);
}

/* --- the receiver --- */

static void connect_again(void *arg);

static void on_up(void *arg)
{
	struct forward *f = arg;
	void (*prepared)(const struct err *, void *) = steal_ptr(f->prepared);

	if (f->failures)
		log_info("container %s: its log is sent again", f->name);
	f->failures = 0;
	f->up = true;
	f->lost = false;
	if (prepared)
		prepared(NULL, f->arg);
	else
		read_on(f);
}

static void on_down(const char *why, void *arg)
{
	struct forward *f = arg;
	void (*prepared)(const struct err *, void *) = steal_ptr(f->prepared);
	uint64_t delay_ms;

	f->up = false;
	log_dest_close(steal_ptr(f->dest));
	logs_close(steal_ptr(f->reader));
	if (prepared) {
		void *to = f->arg;
		struct err err = ERR_INIT;

		err_set(&err, -EIO, INIT_FAILED ": %s", why);
		forward_free(f);
		prepared(&err, to);
		return;
	}
	if (!f->c) {
		log_warn("container %s is removed, and the rest of its log is lost: %s", f->name,
			 why);
		forward_free(f);
		return;
	}
	if (!f->failures)
		log_warn("container %s: its log is not sent for now: %s", f->name, why);
	if (++f->failures > logger_retries(f->logger)) {
		log_warn("container %s: its log is not sent any more until it starts again: %s",
			 f->name, why);
		forward_free(f);
		return;
	}
	delay_ms = (uint64_t)logger_retry_ms(f->logger) << min(f->failures - 1, (uint64_t)6);
	timer_set(&f->retry, min(delay_ms, max((uint64_t)BACKOFF_MAX_MS,
					       (uint64_t)logger_retry_ms(f->logger))));
}

static void on_drained(void *arg)
{
	struct forward *f = arg;

	save(f);
	if (finished(f))
		return;
	if (f->reader)
		logs_resume(f->reader);
}

static void connect_again(void *arg)
{
	static const struct log_dest_ops ops = {
		.up = on_up, .down = on_down, .drained = on_drained};
	struct forward *f = arg;
	struct log_tls_options tls = logger_tls(f->logger);

	f->dest = log_dest_open(f->loop, logger_address(f->logger), &tls, &ops, f);
}

static void give_up(void *arg)
{
	struct forward *f = arg;

	log_warn("container %s is removed, and the rest of its log is lost: its receiver is too "
		 "slow",
		 f->name);
	forward_free(f);
}

static struct forward *forward_new(struct ctr *c, struct err *err)
{
	struct forward *f;
	struct logger *logger;

	if (ctr_logger(c, &logger, err))
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->c = c;
	f->loop = c->ctrs->opt.loop;
	f->logger = logger;
	f->name = xstrdup(c->name);
	timer_init(&f->retry, f->loop, connect_again, f);
	timer_init(&f->leave, f->loop, give_up, f);
	timer_init(&f->save, f->loop, save_due, f);
	load(f);
	f->reached = f->sent;
	list_add_tail(&f->node, &c->ctrs->forwards);
	c->forward = f;
	return f;
}

/* --- what the container calls --- */

void forward_prepare(struct ctr *c, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct err err = ERR_INIT;
	struct forward *f;

	forward_cancel(c);
	f = forward_new(c, &err);
	if (f)
		connect_again(f);
	if (f && !logger_async(f->logger)) {
		f->prepared = done;
		f->arg = arg;
		return;
	}
	if (err.code)
		err_prefix(&err, INIT_FAILED);
	loop_answer(c->ctrs->opt.loop, done, &err, arg);
}

void forward_run(struct ctr *c)
{
	if (!c->forward)
		return;
	c->forward->running = true;
	read_on(c->forward);
}

void forward_cancel(struct ctr *c)
{
	if (c->forward)
		forward_free(c->forward);
}

/* All of its log is sent, as far as the file of today tells. */
static bool is_sent(const struct forward *f)
{
	struct stat st;

	return stat(f->c->log_path, &st) || !st.st_size ||
	       (st.st_ino == f->sent.inode && st.st_size == f->sent.offset);
}

void forward_restore(struct ctr *c)
{
	struct err err = ERR_INIT;
	struct forward *f;

	if (!ctr_log_remote(c) || access(c->log_path, F_OK))
		return;
	f = forward_new(c, &err);
	if (!f) {
		log_warn("container %s: its log is not sent: %s", c->name, err.msg);
		return;
	}
	if (!ctr_running(c) && is_sent(f)) {
		forward_free(f);
		return;
	}
	f->running = true;
	connect_again(f);
}

void forward_leave(struct ctr *c)
{
	struct forward *f = c->forward;

	if (!f)
		return;
	if (f->up && !f->lost && !log_dest_unsent(f->dest))
		save(f);
	if (c->ctrs->closing) {
		forward_free(f);
	} else if (!f->up || (!f->reader && !log_dest_unsent(f->dest))) {
		if (f->running && !f->up)
			log_warn("container %s is removed before all of its log was sent", f->name);
		forward_free(f);
	} else {
		f->c = NULL;
		c->forward = NULL;
		timer_set(&f->leave, LEAVE_MS);
	}
}

void forwards_free(struct ctrs *ctrs)
{
	while (!list_empty(&ctrs->forwards))
		forward_free(list_first(&ctrs->forwards, struct forward, node));
}
