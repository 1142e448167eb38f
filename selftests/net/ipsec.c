// SPDX-License-Identifier: Apache-2.0
/*
 * net/ipsec.h on a kernel that has ESP, for selftests/kmod/run.sh. What is in the kernel is read back
 * through net/xfrm.h, in a network namespace of the test.
 */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "net/ipsec.h"
#include "net/xfrm.h"
#include "swarm/esp.h"

static struct in_addr ip(const char *s)
{
	struct in_addr a;

	assert(inet_pton(AF_INET, s, &a) == 1);
	return a;
}

#define MAX 64

struct seen {
	struct xfrm_sa states[MAX], policies[MAX];
	size_t n_states, n_policies, n_last;
};

FIXTURE(ipsec)
{
	struct ipsec *s;
	bool ready;
	struct in_addr local, b, c;
	struct ipsec_key keys[5];
	struct seen seen;
};

FIXTURE_SETUP(ipsec)
{
	struct err err = ERR_INIT;
	int rc;

	memset(self, 0, sizeof(*self));
	if (geteuid() || unshare(CLONE_NEWNET))
		return;
	self->local = ip("192.0.2.1");
	self->b = ip("192.0.2.2");
	self->c = ip("192.0.2.3");
	for (size_t i = 0; i < 5; i++) {
		memset(self->keys[i].key, 0x10 + i, IPSEC_KEY_SIZE);
		self->keys[i].tag = 100 + i;
	}
	self->s = ipsec_new();
	rc = ipsec_begin(self->s, &err);
	if (rc)
		return;
	self->ready = true;
	ASSERT_EQ(0, ipsec_local_set(self->s, self->local, 4789, &err));
	ASSERT_EQ(0, ipsec_keys_set(self->s, self->keys, 3, 1, &err));
}

FIXTURE_TEARDOWN(ipsec)
{
	ipsec_free(self->s);
}

/* At the beginning of each test: a fixture's own SKIP() would not end it. */
#define NEED_ESP()                                                                                 \
	do {                                                                                       \
		if (!self->ready)                                                                  \
			SKIP(return, "root and a kernel with CONFIG_INET_ESP are needed");         \
	} while (0)

static bool look(const struct xfrm_sa *sa, uint16_t port, void *arg)
{
	struct seen *seen = arg;

	if (!port)
		seen->states[seen->n_states++ % MAX] = *sa;
	else if (sa->dst.s_addr)
		seen->policies[seen->n_policies++ % MAX] = *sa;
	else
		seen->n_last++;
	return false;
}

static void read_back(FIXTURE_DATA(ipsec) * self)
{
	struct xfrm *x;

	memset(&self->seen, 0, sizeof(self->seen));
	assert(!xfrm_open(&x, NULL) && !xfrm_judge(x, look, &self->seen, NULL));
	xfrm_close(x);
}

static bool has_state(const struct seen *s, struct in_addr src, struct in_addr dst, uint32_t tag)
{
	for (size_t i = 0; i < s->n_states; i++)
		if (s->states[i].src.s_addr == src.s_addr &&
		    s->states[i].dst.s_addr == dst.s_addr &&
		    s->states[i].spi == ipsec_spi(src, dst, tag))
			return true;
	return false;
}

/* States both ways for the keys from the first to the last tag, and none else; the policy's tag. */
#define EXPECT_PEERS(n_peers, first, last, primary)                                                \
	do {                                                                                       \
		struct in_addr _peers[] = {self->b, self->c};                                      \
		read_back(self);                                                                   \
		ASSERT_EQ((n_peers)*2 * ((last) - (first) + 1), self->seen.n_states);              \
		ASSERT_EQ(n_peers, self->seen.n_policies);                                         \
		for (int _p = 0; _p < (n_peers); _p++) {                                           \
			for (uint32_t _t = (first); _t <= (last); _t++) {                          \
				ASSERT_TRUE(has_state(&self->seen, _peers[_p], self->local, _t));  \
				ASSERT_TRUE(has_state(&self->seen, self->local, _peers[_p], _t));  \
			}                                                                          \
			ASSERT_EQ(self->local.s_addr, self->seen.policies[_p].src.s_addr);         \
			ASSERT_EQ(ipsec_spi(self->local, self->seen.policies[_p].dst, primary),    \
				  self->seen.policies[_p].spi);                                    \
		}                                                                                  \
	} while (0)

TEST_F(ipsec, nothing_leaves_without_a_peer)
{
	NEED_ESP();
	read_back(self);
	EXPECT_EQ(1, self->seen.n_last);
	EXPECT_EQ(0, self->seen.n_states + self->seen.n_policies);
}

TEST_F(ipsec, peers_come_and_go)
{
	NEED_ESP();
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	EXPECT_PEERS(1, 100, 102, 101);
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->c, NULL));
	EXPECT_PEERS(2, 100, 102, 101);
	ipsec_peer_del(self->s, self->c);
	EXPECT_PEERS(1, 100, 102, 101);
	ASSERT_EQ(0, ipsec_clear(self->s, NULL));
	EXPECT_PEERS(0, 0, 0, 0);
	EXPECT_EQ(0, self->seen.n_last);
}

TEST_F(ipsec, rotation)
{
	NEED_ESP();
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->c, NULL));
	ASSERT_EQ(0, ipsec_keys_set(self->s, self->keys + 1, 3, 1, NULL));
	EXPECT_PEERS(2, 101, 103, 102);
	ASSERT_EQ(0, ipsec_keys_set(self->s, self->keys + 2, 3, 1, NULL));
	EXPECT_PEERS(2, 102, 104, 103);
}

TEST_F(ipsec, another_agent_goes_on_with_what_is_there)
{
	NEED_ESP();
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->c, NULL));
	ipsec_free(self->s);
	self->s = ipsec_new();
	ASSERT_EQ(0, ipsec_local_set(self->s, self->local, 4789, NULL));
	ASSERT_EQ(0, ipsec_keys_set(self->s, self->keys + 1, 3, 1, NULL));
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	read_back(self);
	EXPECT_EQ(14, self->seen.n_states); /* one key more of b, and all of c */
	ASSERT_EQ(0, ipsec_sweep(self->s, NULL));
	EXPECT_PEERS(1, 101, 103, 102);
	EXPECT_EQ(1, self->seen.n_last);
}

TEST_F(ipsec, a_key_of_another_swarm_is_replaced)
{
	struct ipsec_key other = self->keys[0];
	struct xfrm *x;
	struct xfrm_sa sa = {self->b, self->local, ipsec_spi(self->b, self->local, other.tag)};

	NEED_ESP();
	ASSERT_EQ(0, xfrm_open(&x, NULL));
	ASSERT_EQ(0, xfrm_state_add(x, &sa, self->keys[3].key, NULL));
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	EXPECT_PEERS(1, 100, 102, 101);
	/* the same again is no change; the key is another's no longer */
	ASSERT_EQ(0, xfrm_state_add(x, &sa, self->keys[0].key, NULL));
	xfrm_close(x);
}

TEST_F(ipsec, the_port_changes)
{
	NEED_ESP();
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	ASSERT_EQ(0, ipsec_local_set(self->s, self->local, 4790, NULL));
	EXPECT_PEERS(1, 100, 102, 101);
}

/* Another network namespace, on a link with this one; the process holds it. */
static pid_t other_node(int *ret_fd)
{
	char cmd[512];
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWNET))
			_exit(1);
		for (;;)
			pause();
	}
	/* as soon as it has one of its own, the link can go there */
	snprintf(cmd, sizeof(cmd),
		 "until [ $(readlink /proc/%d/ns/net) != $(readlink /proc/self/ns/net) ]; do :; "
		 "done;"
		 "ip link add v0 type veth peer name v1 netns %d && ip addr add 192.0.2.1/24 dev "
		 "v0 &&"
		 "ip link set v0 up && nsenter -t %d -n sh -c 'ip addr add 192.0.2.2/24 dev v1 &&"
		 "ip link set v1 up'",
		 pid, pid, pid);
	assert(!system(cmd));
	snprintf(cmd, sizeof(cmd), "/proc/%d/ns/net", pid);
	*ret_fd = open(cmd, O_RDONLY | O_CLOEXEC);
	return pid;
}

static int udp_socket(struct in_addr addr, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = addr, .sin_port = htons(port)};
	struct timeval wait = {.tv_sec = 10};
	int mark = SW_ESP_MARK, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert(!setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) &&
	       !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) &&
	       !bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	return fd;
}

/* The next number there arrives here. */
static bool passes(int from, int to, struct in_addr addr)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = addr, .sin_port = htons(4789)};
	static uint32_t number;
	uint32_t got = 0;

	number++;
	return sendto(from, &number, sizeof(number), 0, (struct sockaddr *)&sa, sizeof(sa)) > 0 &&
	       recv(to, &got, sizeof(got), 0) == sizeof(got) && got == number;
}

/* Nodes hear of new keys at different times, whichever first; each may be one rotation behind. */
TEST_F(ipsec, no_datagram_is_lost_while_keys_change)
{
	struct ipsec *there;
	int here_ns, other_ns, here_fd, there_fd;
	pid_t pid;

	NEED_ESP();
	pid = other_node(&other_ns);
	here_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	here_fd = udp_socket(self->local, 4789);
	ASSERT_EQ(0, ipsec_peer_set(self->s, self->b, NULL));
	/* without a policy there, what leaves here is not taken, and nothing leaves there */
	ASSERT_EQ(0, setns(other_ns, CLONE_NEWNET));
	there_fd = udp_socket(self->b, 4789);
	there = ipsec_new();
	ASSERT_EQ(0, ipsec_begin(there, NULL));
	ASSERT_EQ(0, setns(here_ns, CLONE_NEWNET));
	EXPECT_FALSE(passes(there_fd, here_fd, self->local));
	ASSERT_EQ(0, ipsec_local_set(there, self->b, 4789, NULL));
	ASSERT_EQ(0, ipsec_keys_set(there, self->keys, 3, 1, NULL));
	ASSERT_EQ(0, ipsec_peer_set(there, self->local, NULL));
	for (int i = 0; i < 2; i++) {
		struct ipsec *first = i % 2 ? self->s : there, *second = i % 2 ? there : self->s;

		EXPECT_TRUE(passes(here_fd, there_fd, self->b));
		EXPECT_TRUE(passes(there_fd, here_fd, self->local));
		ASSERT_EQ(0, ipsec_keys_set(first, self->keys + i + 1, 3, 1, NULL));
		EXPECT_TRUE(passes(here_fd, there_fd, self->b));
		EXPECT_TRUE(passes(there_fd, here_fd, self->local));
		ASSERT_EQ(0, ipsec_keys_set(second, self->keys + i + 1, 3, 1, NULL));
	}
	EXPECT_TRUE(passes(here_fd, there_fd, self->b));
	EXPECT_TRUE(passes(there_fd, here_fd, self->local));
	ipsec_free(there);
	close(here_fd);
	close(there_fd);
	close(here_ns);
	close(other_ns);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_HARNESS_MAIN
