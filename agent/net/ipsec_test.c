// SPDX-License-Identifier: Apache-2.0
/* What needs no ESP of the kernel; the rest is selftests/net/ipsec.c. */
#include "kselftest_harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>

#include "net/ipsec.h"

static struct in_addr ip(const char *s)
{
	struct in_addr a;

	assert(inet_pton(AF_INET, s, &a) == 1);
	return a;
}

/* Source: SWARM-WIRE §5, where Docker's own code was run. */
TEST(spi_is_dockers)
{
	struct in_addr a = ip("192.0.2.1"), b = ip("192.0.2.2");

	EXPECT_EQ(0x49e70add, ipsec_spi(a, b, 7));
	EXPECT_EQ(0xb444136d, ipsec_spi(b, a, 7));
}

TEST(a_kernel_without_esp_is_named_with_the_cure)
{
	struct ipsec *s = ipsec_new();
	struct err err = ERR_INIT;
	int rc;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	rc = ipsec_begin(s, &err);
	if (rc) {
		EXPECT_EQ(-EPROTONOSUPPORT, rc);
		EXPECT_NE(NULL, strstr(err.msg, "CONFIG_INET_ESP"));
	}
	ipsec_free(s);
}

TEST_HARNESS_MAIN
