// SPDX-License-Identifier: Apache-2.0
/* The thread that owns the disk: writes, own snapshots, snapshots to be sent, another key. */
#include <pthread.h>

#include "core/log.h"
#include "manager/raftd_impl.h"

static void start_job(struct raftd *r);

static void free_job(struct disk_job *j)
{
	for (size_t i = 0; i < j->write.n_entries; i++)
		raft_entry_put(j->entries[i]);
	free(j->entries);
	raft_snapshot_put(j->snapshot);
	raft_msg_free(j->send);
	explicit_bzero(j->key, sizeof(j->key));
	free(j);
}

/* On the disk's thread. It only looks at what the job holds; references stay with the loop. */
static void run_job(void *arg)
{
	struct disk_job *j = arg;
	struct raftd *r = j->r;

	if (j->rekey)
		j->rc = raftlog_rekey(j->log, j->key, &j->err);
	else if (j->send)
		j->rc = raftlog_snapshot(j->log, &j->snapshot, &j->err);
	else
		j->rc = raftlog_write(j->log, &j->write, &j->err);
	pthread_mutex_lock(&r->lock);
	r->job_ended = true;
	pthread_cond_signal(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

static void send_snapshot(struct raftd *r, struct disk_job *j)
{
	struct raft_msg *m = steal_ptr(j->send);
	uint64_t to = m->to;

	if (j->rc < 0 || !j->snapshot || !r->transport.send) {
		if (j->rc < 0)
			log_error("raft: cannot read the snapshot to send: %s", j->err.msg);
		raft_msg_free(m);
		raftd_snapshot_sent(r, to, true);
		return;
	}
	raft_snapshot_put(m->snapshot);
	m->snapshot = steal_ptr(j->snapshot);
	r->transport.send(m, r->transport.arg);
}

static void wrote(struct raftd *r, struct disk_job *j)
{
	struct raft_event ev = {.type = RAFT_PERSISTED};

	if (j->own) {
		struct raft_event compact = {
			.type = RAFT_COMPACT, .snapshot = j->snapshot, .keep = j->keep};

		r->snapshotting = false;
		r->snapshot_index = max(r->snapshot_index, j->snapshot->index);
		log_info("raft: snapshot at entry %llu, %zu bytes",
			 (unsigned long long)j->snapshot->index, j->snapshot->size);
		raftd_step(r, &compact);
	}
	if (j->persist) {
		r->persisting = false;
		raftd_step(r, &ev);
	}
}

static void retry(void *arg)
{
	start_job(arg);
}

static void job_done(void *arg)
{
	struct disk_job *j = arg;
	struct raftd *r = j->r;

	if (!r) {
		free_job(j);
		return;
	}
	r->job_ended = false;
	r->job = NULL;
	if (j->rekey) {
		j->done(j->rc < 0 ? &j->err : NULL, j->arg);
	} else if (j->send) {
		send_snapshot(r, j);
	} else if (j->rc == -EBADMSG || (j->rc < 0 && !j->persist)) {
		if (j->persist)
			raftd_fail(r, j->err.msg);
		else
			log_error("raft: %s", j->err.msg);
		if (j->own) {
			r->snapshotting = false;
			r->snapshot_after_ms = loop_now_ms() + SNAPSHOT_RETRY_MS;
		}
	} else if (j->rc < 0) {
		/* a full disk may get room again; until then this member promises nothing */
		log_error("raft: %s", j->err.msg);
		list_add(&j->node, &r->jobs);
		timer_set(&r->disk_retry, DISK_RETRY_MS);
		return;
	} else {
		wrote(r, j);
	}
	free_job(j);
	if (!r->job)
		start_job(r);
}

static void start_job(struct raftd *r)
{
	struct disk_job *j;

	if (r->job || list_empty(&r->jobs) || timer_pending(&r->disk_retry))
		return;
	j = list_first(&r->jobs, struct disk_job, node);
	list_del(&j->node);
	r->job = j;
	loop_thread(r->loop, run_job, job_done, j);
}

static struct disk_job *new_job(struct raftd *r)
{
	struct disk_job *j = xcalloc(1, sizeof(*j));

	j->r = r;
	j->log = r->log;
	list_add_tail(&j->node, &r->jobs);
	return j;
}

void raftd_disk_persist(struct raftd *r, const struct raft_update *u)
{
	struct disk_job *j = new_job(r);

	j->persist = r->persisting = true;
	r->stuck_ticks = 0;
	j->hard = u->hard;
	j->write.hard = &j->hard;
	j->entries = xcalloc(u->n_entries + 1, sizeof(*j->entries));
	for (size_t i = 0; i < u->n_entries; i++)
		j->entries[i] = raft_entry_get(u->entries[i]);
	j->write.entries = j->entries;
	j->write.n_entries = u->n_entries;
	if (u->snapshot) {
		j->snapshot = raft_snapshot_get(u->snapshot);
		j->write.snapshot = j->snapshot;
		j->write.restart = true;
	}
	start_job(r);
}

/*
 * A leader whose disk is full, or takes for ever, applies nothing more and so answers nobody, though
 * the others could go on: it hands the leadership to one of them. That they can is seen by what they
 * have committed meanwhile; where all disks are as slow nobody would be quicker.
 */
void raftd_disk_tick(struct raftd *r)
{
	struct err err = ERR_INIT;

	if (!r->persisting || !r->told_leader || raft_commit(r->raft) == r->applied ||
	    ++r->stuck_ticks < DISK_STUCK_TICKS)
		return;
	r->stuck_ticks = 0;
	if (!raftd_transfer(r, 0, &err))
		log_warn("raft: this manager cannot write and hands the leadership on");
}

void raftd_disk_load_snapshot(struct raftd *r, struct raft_msg *msg)
{
	struct disk_job *j = new_job(r);

	j->send = msg;
	start_job(r);
}

void raftd_maybe_snapshot(struct raftd *r)
{
	_cleanup_buf_ struct buf state = BUF_INIT;
	struct disk_job *j;
	uint64_t term;
	size_t size;
	char *data;

	if (r->snapshotting || r->failed || r->applied != raft_applied(r->raft) ||
	    loop_now_ms() < r->snapshot_after_ms ||
	    (!r->snapshot_wanted && r->applied < r->snapshot_index + r->snapshot_interval))
		return;
	r->snapshot_wanted = false;
	term = raft_term_at(r->raft, r->applied);
	if (!term)
		return;
	r->opt.on_snapshot_save(&state, r->opt.arg);
	raftd_membership_pack(r, &state);
	r->snapshotting = true;
	j = new_job(r);
	j->own = true;
	j->keep = r->snapshot_keep;
	data = buf_steal(&state, &size);
	j->snapshot = raft_snapshot_new(r->applied, term, raft_conf(r->raft), data, size);
	j->write.snapshot = j->snapshot;
	if (r->applied > j->keep && r->applied - j->keep >= raft_first_index(r->raft)) {
		j->write.compact_index = r->applied - j->keep;
		j->write.compact_term = raft_term_at(r->raft, j->write.compact_index);
	}
	start_job(r);
}

void raftd_rekey(struct raftd *r, const uint8_t dek[RAFTD_DEK_SIZE],
		 void (*done)(const struct err *err, void *arg), void *arg)
{
	struct disk_job *j = new_job(r);

	j->rekey = true;
	memcpy(j->key, dek, sizeof(j->key));
	j->done = done;
	j->arg = arg;
	start_job(r);
}

void raftd_disk_init(struct raftd *r)
{
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->idle, NULL);
	list_init(&r->jobs);
	r->job_ended = r->persisting = false;
	timer_init(&r->disk_retry, r->loop, retry, r);
}

void raftd_disk_stop(struct raftd *r)
{
	struct disk_job *j, *tmp;

	if (r->job) {
		pthread_mutex_lock(&r->lock);
		while (!r->job_ended)
			pthread_cond_wait(&r->idle, &r->lock);
		pthread_mutex_unlock(&r->lock);
		/* its end is on the way to the loop, which frees it */
		r->job->r = NULL;
		r->job = NULL;
	}
	list_for_each_safe (j, tmp, &r->jobs, node) {
		struct err err = ERR_INIT;

		list_del(&j->node);
		err_set(&err, -ECANCELED, "the raft log was closed");
		if (j->rekey)
			j->done(&err, j->arg);
		free_job(j);
	}
	timer_done(&r->disk_retry);
}
