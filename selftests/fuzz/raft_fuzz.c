// SPDX-License-Identifier: Apache-2.0
/*
 * A member of three gets any messages: two bytes of size in front of each, marshalled; between
 * them time passes and what is to be written is.
 */
#include "raft/raft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(struct raft *r, const struct raft_event *ev)
{
	struct raft_update u;

	raft_step(r, ev, &u);
	for (int i = 0; u.persist && i < 8; i++) {
		struct raft_event done = {.type = RAFT_PERSISTED};

		raft_step(r, &done, &u);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct raft_conf conf = {.voters = {1, 2, 3}, .n = 3};
	struct raft_snapshot *snap = raft_snapshot_new(1, 1, &conf, NULL, 0);
	struct raft_stored stored = {.hard = {.term = 1, .commit = 1}, .snapshot = snap};
	struct rng rng;
	struct raft_options opt = {.id = 1,
				   .election_ticks = 4,
				   .heartbeat_ticks = 1,
				   .pre_vote = true,
				   .check_quorum = true,
				   .max_msg_size = 1000,
				   .max_inflight = 4,
				   .rng = &rng};
	struct raft *r;

	rng_seed(&rng, 1);
	if (raft_new(&opt, &stored, &r, NULL) < 0)
		abort();
	for (int i = 0; size > 2 && i < 64; i++) {
		size_t n = data[0] | data[1] << 8;
		struct raft_event ev = {.type = RAFT_TICK};
		struct raft_msg *m;

		data += 2;
		size -= 2;
		n = n > size ? size : n;
		for (size_t t = 0; t < n % 7; t++)
			step(r, &ev);
		m = raft_msg_unpack(data, n);
		if (m) {
			_cleanup_buf_ struct buf again = BUF_INIT;

			raft_msg_pack(m, &again);
			ev.type = RAFT_RECV;
			ev.msg = m;
			step(r, &ev);
			raft_msg_free(m);
		}
		if (n % 11 == 3) {
			struct raft_entry *e = raft_entry_new(RAFT_NORMAL, 0, 0, "x", 1);

			ev = (struct raft_event){
				.type = RAFT_PROPOSE, .entries = &e, .n_entries = 1};
			step(r, &ev);
		}
		data += n;
		size -= n;
	}
	raft_free(r);
	raft_snapshot_put(snap);
	return 0;
}
