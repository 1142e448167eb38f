// SPDX-License-Identifier: Apache-2.0
#include "kselftest_harness.h"

#include "core/lag.h"
#include "core/util.h"

TEST(nothing_late_nothing_longer)
{
	struct lag l = {.usual = 1000};
	struct lag_wait w;

	lag_measured(&l, 0);
	lag_passed(&l, 5000);
	EXPECT_EQ(0, lag_slack(&l));
	EXPECT_EQ(300, lag_wait_begin(&w, 300, lag_slack(&l), 10000));
	/* a timer that is as late as timers are does not prolong it */
	EXPECT_EQ(0, lag_wait_left(&w, lag_slack(&l), 10302));
}

TEST(late_is_waited_for_and_forgotten)
{
	struct lag l = {.usual = 1000};

	lag_measured(&l, 200);
	EXPECT_EQ(600, lag_slack(&l));
	lag_measured(&l, 100);
	EXPECT_EQ(600, lag_slack(&l));
	lag_passed(&l, 7999);
	EXPECT_EQ(600, lag_slack(&l));
	lag_passed(&l, 1);
	EXPECT_EQ(450, lag_slack(&l));
	lag_measured(&l, 3000);
	EXPECT_EQ(3000, lag_slack(&l));
	/* long waits at once are as many short ones */
	lag_passed(&l, 16000);
	EXPECT_EQ(1687, l.late);
	for (int i = 0; i < 200; i++)
		lag_passed(&l, 8000);
	EXPECT_EQ(0, lag_slack(&l));
}

TEST(an_outage_is_no_lateness)
{
	struct lag l = {.usual = 1000};

	lag_measured(&l, LAG_OUTAGE * 1000 + 1);
	EXPECT_EQ(0, lag_slack(&l));
}

TEST(a_wait_grows_with_what_is_measured_meanwhile)
{
	struct lag_wait w;

	EXPECT_EQ(300, lag_wait_begin(&w, 300, 0, 1000));
	EXPECT_EQ(900, lag_wait_left(&w, 900, 1300));
	EXPECT_EQ(0, lag_wait_left(&w, 900, 2200));
}

TEST(what_a_held_up_loop_has_not_read_is_waited_for)
{
	struct lag l = {.usual = 1000};
	struct lag_wait w;

	lag_wait_begin(&w, 2000, 0, 0);
	/* the loop stood still for an hour */
	EXPECT_EQ(3600000, lag_wait_late(&w, 3602000));
	lag_measured(&l, min(lag_wait_late(&w, 3602000), (uint32_t)LAG_OUTAGE * 1000));
	EXPECT_EQ(3000, lag_wait_left(&w, lag_slack(&l), 3602000));
	EXPECT_EQ(0, lag_wait_late(&w, 3605000));
	EXPECT_EQ(0, lag_wait_left(&w, lag_slack(&l), 3605000));
}

TEST_HARNESS_MAIN
