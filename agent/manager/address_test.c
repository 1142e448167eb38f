// SPDX-License-Identifier: Apache-2.0
#include "manager/address.h"

#include "kselftest_harness.h"

TEST(split)
{
	char host[ADDRESS_SIZE];
	uint16_t port;

	ASSERT_EQ(address_split("192.0.2.1:2377", host, &port), 0);
	EXPECT_STREQ(host, "192.0.2.1");
	EXPECT_EQ(port, 2377);
	ASSERT_EQ(address_split("[2001:db8::1]:80", host, &port), 0);
	EXPECT_STREQ(host, "2001:db8::1");
	EXPECT_NE(address_split("2001:db8::1:80", host, &port), 0);
	EXPECT_NE(address_split("192.0.2.1", host, &port), 0);
	EXPECT_NE(address_split("192.0.2.1:70000", host, &port), 0);
	EXPECT_NE(address_split("[::1:80", host, &port), 0);
}

TEST(ports_are_added)
{
	char a[ADDRESS_SIZE];

	ASSERT_EQ(address_with_port("192.0.2.1", 2377, a, NULL), 0);
	EXPECT_STREQ(a, "192.0.2.1:2377");
	ASSERT_EQ(address_with_port("manager:99", 2377, a, NULL), 0);
	EXPECT_STREQ(a, "manager:99");
	ASSERT_EQ(address_with_port("2001:db8::1", 2377, a, NULL), 0);
	EXPECT_STREQ(a, "[2001:db8::1]:2377");
	EXPECT_NE(address_with_port("", 2377, a, NULL), 0);
}

TEST(from_what_is_given)
{
	struct swarm_addresses a;
	struct err err = ERR_INIT;

	ASSERT_EQ(swarm_addresses("192.0.2.7:99", NULL, NULL, NULL, &a, NULL), 0);
	EXPECT_STREQ(a.listen, "192.0.2.7:99");
	EXPECT_STREQ(a.advertise, "192.0.2.7:99");
	EXPECT_STREQ(a.data_path, "192.0.2.7");
	ASSERT_EQ(swarm_addresses(NULL, "192.0.2.8", "192.0.2.9", NULL, &a, NULL), 0);
	EXPECT_STREQ(a.listen, "0.0.0.0:2377");
	EXPECT_STREQ(a.advertise, "192.0.2.8:2377");
	EXPECT_STREQ(a.data_path, "192.0.2.9");
	ASSERT_EQ(swarm_addresses("", "lo", "", NULL, &a, NULL), 0);
	EXPECT_STREQ(a.advertise, "127.0.0.1:2377");
	EXPECT_EQ(swarm_addresses(NULL, "0.0.0.0", NULL, NULL, &a, &err), -EINVAL);
	EXPECT_EQ(strncmp(err.msg, "advertise address must be", 25), 0);
	EXPECT_EQ(swarm_addresses("no-such-link", NULL, NULL, NULL, &a, &err), -EINVAL);
	EXPECT_EQ(strncmp(err.msg, "listen address must be", 22), 0);
	EXPECT_EQ(swarm_addresses(NULL, "192.0.2.8", "192.0.2.9:1", NULL, &a, &err), -EINVAL);
}

TEST_HARNESS_MAIN
