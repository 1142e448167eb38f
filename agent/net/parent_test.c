// SPDX-License-Identifier: Apache-2.0
/* Options of macvlan and ipvlan networks. */
#include "kselftest_harness.h"

#include <errno.h>
#include <linux/if_link.h>

#include "net/net_impl.h"

TEST(a_vlan_is_link_and_number)
{
	static const struct {
		const char *name, *link;
		unsigned int id;
	} good[] = {
		{"eth0.50", "eth0", 50},
		{"eth0.1", "eth0", 1},
		{"bond0.4094", "bond0", 4094},
		{"a.010", "a", 10},
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char link[IF_NAMESIZE] = "";
		unsigned int id = 0;

		EXPECT_EQ(0, parent_vlan(good[i].name, link, &id, NULL));
		EXPECT_STREQ(good[i].link, link);
		EXPECT_EQ(good[i].id, id);
	}
}

TEST(what_is_no_vlan_is_said)
{
	static const struct {
		const char *name, *says;
	} bad[] = {
		{"eth9", "invalid subinterface vlan name eth9, example formatting is eth0.10"},
		{"eth0.1.2", "required interface name format is: name.vlan_id"},
		{".5", "required interface name format is: name.vlan_id"},
		{"eth0.", "unable to parse a valid vlan id from: "},
		{"eth0.x", "unable to parse a valid vlan id from: x"},
		{"eth0.-1", "unable to parse a valid vlan id from: -1"},
		{"eth0.0", "vlan id must be between 1-4094, received: 0"},
		{"eth0.4095", "vlan id must be between 1-4094, received: 4095"},
		{"eth0.99999999999", "unable to parse a valid vlan id from: 99999999999"},
		{"a-name-that-is-too-long.5", "required interface name format"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char link[IF_NAMESIZE] = "untouched";
		struct err err = ERR_INIT;
		unsigned int id = 7;

		EXPECT_GT(0, parent_vlan(bad[i].name, link, &id, &err));
		EXPECT_NE(NULL, strstr(err.msg, bad[i].says))
		{
			TH_LOG("%s: %s", bad[i].name, err.msg);
		}
		EXPECT_STREQ("untouched", link);
		EXPECT_EQ(7, id);
	}
}

TEST(modes_are_the_kernels)
{
	static const struct {
		const char *s;
		uint32_t mode;
	} macvlan[] = {{"", MACVLAN_MODE_BRIDGE},
		       {"bridge", MACVLAN_MODE_BRIDGE},
		       {"private", MACVLAN_MODE_PRIVATE},
		       {"vepa", MACVLAN_MODE_VEPA},
		       {"passthru", MACVLAN_MODE_PASSTHRU}},
	  ipvlan[] = {{"", IPVLAN_MODE_L2},
		      {"l2", IPVLAN_MODE_L2},
		      {"l3", IPVLAN_MODE_L3},
		      {"l3s", IPVLAN_MODE_L3S}},
	  flags[] = {
		  {"", 0}, {"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}};
	struct err err = ERR_INIT;
	uint32_t mode = 0;
	uint16_t flag = 0;

	for (size_t i = 0; i < ARRAY_SIZE(macvlan); i++) {
		EXPECT_EQ(0, macvlan_mode(macvlan[i].s, &mode, NULL));
		EXPECT_EQ(macvlan[i].mode, mode);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ipvlan); i++) {
		EXPECT_EQ(0, ipvlan_mode(ipvlan[i].s, &mode, NULL));
		EXPECT_EQ(ipvlan[i].mode, mode);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(0, ipvlan_flag(flags[i].s, &flag, NULL));
		EXPECT_EQ(flags[i].mode, flag);
	}
	EXPECT_GT(0, macvlan_mode("source", &mode, &err));
	EXPECT_NE(NULL, strstr(err.msg, "requested macvlan mode 'source' is not valid"));
	EXPECT_GT(0, ipvlan_mode("L2", &mode, &err));
	EXPECT_NE(NULL, strstr(err.msg, "requested ipvlan mode 'L2' is not valid"));
	EXPECT_GT(0, ipvlan_flag("x", &flag, &err));
	EXPECT_NE(NULL, strstr(err.msg, "requested ipvlan flag 'x' is not valid"));
}

/* What the kernel lacks is named; other reasons are left as they are. */
TEST(a_missing_kind_is_named_with_the_cure)
{
	struct err err = ERR_INIT;

	EXPECT_GT(0, rt_kind_err(&err, -EOPNOTSUPP, "vlan", "failed to create %s", "eth0.5"));
	EXPECT_NE(NULL, strstr(err.msg, "failed to create eth0.5: "));
	EXPECT_NE(NULL, strstr(err.msg, "CONFIG_VLAN_8021Q"));
	EXPECT_NE(NULL, strstr(err.msg, "modprobe 8021q"));
	EXPECT_EQ(-EPERM, rt_kind_err(&err, -EPERM, "vlan", "failed"));
	EXPECT_STREQ("failed: Operation not permitted", err.msg);
}

TEST_HARNESS_MAIN
