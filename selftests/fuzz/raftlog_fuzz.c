// SPDX-License-Identifier: Apache-2.0
/* A raft log's file of any content is read or refused. */
#include <stdio.h>

#include "disk/file.h"
#include "disk/raftlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void clean(void)
{
	dir_remove_tree(dir, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[RAFTLOG_KEY_SIZE] = "a key of the corpus, 32 bytes..";
	struct raft_snapshot *snap;
	struct raftlog_state s;
	struct raftlog *l;
	char path[80];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/dev/shm/raftlog_fuzz.XXXXXX");
		if (!mkdtemp(dir))
			abort();
		atexit(clean);
	}
	snprintf(path, sizeof(path), "%s/log", dir);
	if (file_write_volatile(path, data, size, 0600, NULL))
		abort();
	if (raftlog_open(dir, key, &l, NULL))
		return 0;
	if (!raftlog_load(l, &s, NULL))
		raftlog_state_done(&s);
	if (!raftlog_snapshot(l, &snap, NULL))
		raft_snapshot_put(snap);
	raftlog_close(l);
	return 0;
}
