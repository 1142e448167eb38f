// SPDX-License-Identifier: Apache-2.0
/*
 * What a node of gossip takes in after decryption: the first byte chooses a datagram, a stream or
 * the answer to one of ours. Two members and a network are known.
 */
#include "gossip/gossip.h"
#include "gossip/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void nothing(const struct swim_addr *to, const void *data, size_t size, void *arg)
{
	(void)to;
	(void)data;
	(void)size;
	(void)arg;
}

static void stream(const struct swim_addr *to, const void *data, size_t size, uint32_t token,
		   void *arg)
{
	(void)to;
	(void)data;
	(void)size;
	*(uint32_t *)arg = token ? token : *(uint32_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct swim_addr other = {.ip = {10, 0, 0, 2}, .len = 4, .port = 7946};
	uint32_t token = 0;
	struct gossip_ops ops = {.packet = nothing, .stream = stream, .arg = &token};
	struct swim_config c = {.name = "n1",
				.addr = {.ip = {10, 0, 0, 1}, .len = 4, .port = 7946}};
	_cleanup_buf_ struct buf answer = BUF_INIT, text = BUF_INIT;
	struct keyring *ring;
	struct gossip *g;
	struct rng rng;
	uint64_t now_ms = 1000;

	if (!size)
		return 0;
	rng_seed(&rng, 1);
	g = gossip_new(&c, &ops, &rng, now_ms);
	swim_preset(gossip_swim(g), "n2", &other, now_ms);
	netdb_join(gossip_netdb(g), "net", now_ms);
	netdb_put(gossip_netdb(g), "net", "endpoint_table", "k", "v", 1, now_ms);
	swim_join(gossip_swim(g), &other, now_ms);
	switch (data[0] & 3) {
	case 0:
		gossip_packet(g, &other, data + 1, size - 1, now_ms);
		break;
	case 1:
		gossip_stream(g, &other, data + 1, size - 1, &answer, now_ms);
		break;
	case 2:
		gossip_answer(g, token, data + 1, size - 1, now_ms);
		break;
	default:
		ring = keyring_new();
		keyring_set(ring, (const uint8_t *const[]){(const uint8_t *)"0123456789abcdef"},
			    (const size_t[]){16}, 1);
		open_packet(ring, data + 1, size - 1, &text);
		open_stream(ring, data + 1, size - 1, &text);
		keyring_free(ring);
	}
	for (int i = 0; i < 20; i++)
		gossip_run(g, now_ms += 300);
	gossip_free(g);
	return 0;
}
