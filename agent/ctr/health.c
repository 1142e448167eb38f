// SPDX-License-Identifier: Apache-2.0
/*
 * Health checks: a command run in the container again and again.
 * Source: Engine API "HealthConfig"; moby daemon/health.go.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/when.h"
#include "ctr/ctr_impl.h"

enum { LOG_ENTRIES = 5, OUTPUT_MAX = 4096 };

static const int64_t second = 1000000000;

struct health_probe {
	struct ctr *c;
	struct exec *e;
	struct bufferevent *output;
	struct timer timeout;
	struct buf text;
	int64_t start_ns;
	int code;
	bool exited, closed, timed_out;
};

static json_t *check_of(const struct ctr *c)
{
	json_t *check = json_object_get(c->config, "Healthcheck");
	const char *kind = json_string_value(json_array_get(json_object_get(check, "Test"), 0));

	return kind && strcmp(kind, "NONE") ? check : NULL;
}

static int64_t setting(json_t *check, const char *key, int64_t dflt)
{
	int64_t v = ji(check, key);

	return v > 0 ? v : dflt;
}

static bool in_start_period(const struct ctr *c, json_t *check)
{
	return !strcmp(c->health, "starting") &&
	       loop_wall_ns() - c->started_ns < ji(check, "StartPeriod");
}

static void next(struct ctr *c)
{
	json_t *check = check_of(c);
	int64_t wait = in_start_period(c, check) ? setting(check, "StartInterval", 5 * second)
						 : setting(check, "Interval", 30 * second);

	timer_set(&c->health_timer, max(wait / 1000000, (int64_t)1));
}

static void set_status(struct ctr *c, const char *status)
{
	_cleanup_free_ char *action = NULL;

	if (!strcmp(c->health, status))
		return;
	c->health = status;
	ctr_save_state(c);
	action = xasprintf("health_status: %s", status);
	ctr_emit(c, action, NULL);
	ctr_tell(c, CTR_EV_HEALTH);
}

static void note(struct ctr *c, int code, int64_t start_ns, const char *output)
{
	json_t *check = check_of(c);
	char start[40], end[40];

	if (!c->health_log)
		c->health_log = json_array();
	json_array_append_new(c->health_log, json_pack("{s:s, s:s, s:i, s:s%}", "Start",
						       time_format(start_ns, start), "End",
						       time_format(loop_wall_ns(), end), "ExitCode",
						       code, "Output", output, strlen(output)));
	while (json_array_size(c->health_log) > LOG_ENTRIES)
		json_array_remove(c->health_log, 0);
	buf_reset(&c->health_output);
	buf_str(&c->health_output, output);
	if (!code) {
		c->health_failures = 0;
		set_status(c, "healthy");
	} else if (!in_start_period(c, check)) {
		c->health_failures++;
		if (c->health_failures >= setting(check, "Retries", 3))
			set_status(c, "unhealthy");
	}
}

static void probe_free(struct health_probe *p)
{
	exec_drop(p->e);
	if (p->output)
		bufferevent_free(p->output);
	timer_done(&p->timeout);
	buf_done(&p->text);
	p->c->probe = NULL;
	free(p);
}

/* Make it text that JSON can hold. */
static void clean_text(struct buf *b)
{
	json_t *test = json_stringn(b->data, b->len);

	if (!test)
		for (size_t i = 0; i < b->len; i++)
			if ((unsigned char)b->data[i] >= 0x80 || !b->data[i])
				b->data[i] = '?';
	json_decref(test);
}

static void maybe_over(struct health_probe *p)
{
	struct ctr *c = p->c;
	struct buf text;
	int64_t start_ns = p->start_ns;
	int code = p->code;

	if (!p->exited || !p->closed)
		return;
	if (p->timed_out) {
		code = -1;
		buf_reset(&p->text);
		buf_printf(&p->text, "Health check exceeded timeout (%llds)",
			   (long long)(setting(check_of(c), "Timeout", 30 * second) / second));
	}
	clean_text(&p->text);
	text = p->text;
	buf_init(&p->text);
	probe_free(p);
	note(c, code, start_ns, text.data);
	buf_done(&text);
	if (ctr_running(c) && *c->health && !c->probe)
		next(c);
}

static void on_output(struct bufferevent *bev, void *arg)
{
	struct health_probe *p = arg;
	char chunk[1024];
	int n;

	while ((n = evbuffer_remove(bufferevent_get_input(bev), chunk, sizeof(chunk))) > 0)
		buf_add(&p->text, chunk, min((size_t)n, OUTPUT_MAX - p->text.len));
}

static void on_output_end(struct bufferevent *bev, short what, void *arg)
{
	struct health_probe *p = arg;

	(void)what;
	on_output(bev, arg);
	p->closed = true;
	maybe_over(p);
}

static void on_exit_code(int code, void *arg)
{
	struct health_probe *p = arg;

	p->exited = true;
	p->code = code;
	maybe_over(p);
}

static void on_timeout(void *arg)
{
	struct health_probe *p = arg;

	p->timed_out = p->closed = true;
	exec_kill(p->e);
	maybe_over(p);
}

static json_t *probe_body(struct ctr *c)
{
	json_t *test = json_object_get(check_of(c), "Test"),
	       *shell = json_object_get(c->config, "Shell"), *cmd, *v;
	const char *kind = json_string_value(json_array_get(test, 0));
	size_t i;

	if (strcmp(kind, "CMD-SHELL"))
		cmd = json_array();
	else if (json_is_array(shell) && json_array_size(shell))
		cmd = json_copy(shell);
	else
		cmd = json_pack("[s, s]", "/bin/sh", "-c");
	json_array_foreach (test, i, v)
		if (i)
			json_array_append(cmd, v);
	return json_pack("{s:o, s:b, s:b}", "Cmd", cmd, "AttachStdout", 1, "AttachStderr", 1);
}

static void probe_due(void *arg)
{
	struct ctr *c = arg;
	struct bufferevent *client;
	struct health_probe *p;
	struct exec *e;
	json_t *body;
	int fds[2];

	if (!ctr_running(c) || c->probe)
		return;
	if (c->status == CTR_PAUSED) {
		next(c);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)) {
		next(c);
		return;
	}
	body = probe_body(c);
	if (exec_create(c, body, &e, NULL)) {
		json_decref(body);
		close(fds[0]);
		close(fds[1]);
		next(c);
		return;
	}
	json_decref(body);
	p = xcalloc(1, sizeof(*p));
	p->c = c;
	p->e = e;
	p->start_ns = loop_wall_ns();
	buf_init(&p->text);
	c->probe = p;
	timer_init(&p->timeout, c->ctrs->opt.loop, on_timeout, p);
	timer_set(&p->timeout, setting(check_of(c), "Timeout", 30 * second) / 1000000);
	client = bufferevent_socket_new(loop_base(c->ctrs->opt.loop), fds[0],
					BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	p->output = bufferevent_socket_new(loop_base(c->ctrs->opt.loop), fds[1],
					   BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_setcb(p->output, on_output, NULL, on_output_end, p);
	bufferevent_enable(p->output, EV_READ | EV_WRITE);
	exec_on_exit(e, on_exit_code, p);
	exec_start(e, client, true, NULL, NULL);
}

void health_start(struct ctr *c)
{
	if (!check_of(c)) {
		c->health = "";
		return;
	}
	if (!c->health_timer.ev)
		timer_init(&c->health_timer, c->ctrs->opt.loop, probe_due, c);
	if (!*c->health) {
		c->health = "starting";
		c->health_failures = 0;
		json_decref(c->health_log);
		c->health_log = NULL;
		buf_reset(&c->health_output);
	}
	next(c);
}

void health_stop(struct ctr *c)
{
	timer_cancel(&c->health_timer);
	if (c->probe)
		probe_free(c->probe);
}

json_t *health_json(const struct ctr *c)
{
	return json_pack("{s:s, s:i, s:o}", "Status", *c->health ? c->health : "none",
			 "FailingStreak", (int)c->health_failures, "Log",
			 c->health_log ? json_incref(c->health_log) : json_array());
}
