// SPDX-License-Identifier: Apache-2.0
/* Drops and flows that the programs tell, through a ring buffer. */
#include "datapath/bpf_impl.h"

#include <bpf/libbpf.h>

enum { BATCH = 512 };

static int on_event(void *arg, void *data, size_t size)
{
	struct dp_bpf *d = arg;

	if (d->event_fn && size >= sizeof(struct sw_event))
		d->event_fn(data, d->event_arg);
	return ++d->n_events < BATCH ? 0 : -EAGAIN;
}

static uint64_t lost_now(struct dp_bpf *d)
{
	uint32_t zero = 0;
	uint64_t n = 0;

	bpf_get(d, MAP_EVENTS_LOST, &zero, &n);
	return n;
}

int bpf_events_open(struct dp *dp, int *ret_fd, struct err *err)
{
	struct dp_bpf *d = bpf_of(dp);
	int rc;

	d->events = ring_buffer__new(d->maps[MAP_EVENTS], on_event, d, NULL);
	if (!d->events)
		return err_errno(err, -errno, "the datapath's events cannot be read");
	/* what a former listener has left is of no interest */
	while (bpf_events_read(dp, NULL, NULL) >= 0 && d->n_events == BATCH)
		;
	d->lost = lost_now(d);
	d->settings.flags |= SW_EVENTS;
	rc = bpf_settings_put(d, err);
	if (rc) {
		bpf_events_close(dp);
		return rc;
	}
	*ret_fd = ring_buffer__epoll_fd(d->events);
	return 0;
}

int64_t bpf_events_read(struct dp *dp, dp_event_fn fn, void *arg)
{
	struct dp_bpf *d = bpf_of(dp);
	uint64_t was = d->lost;
	int rc;

	d->event_fn = fn;
	d->event_arg = arg;
	d->n_events = 0;
	rc = ring_buffer__consume(d->events);
	if (rc < 0 && rc != -EAGAIN)
		return rc;
	d->lost = lost_now(d);
	return d->lost - was;
}

void bpf_events_close(struct dp *dp)
{
	struct dp_bpf *d = bpf_of(dp);

	d->settings.flags &= ~SW_EVENTS;
	bpf_settings_put(d, NULL);
	ring_buffer__free(d->events);
	d->events = NULL;
}
