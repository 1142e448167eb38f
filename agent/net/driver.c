// SPDX-License-Identifier: Apache-2.0
#include "net/driver.h"

#include <errno.h>

#include "net/net_impl.h"

static const struct net_driver host = {.name = "host", .single = true};
static const struct net_driver null = {.name = "null", .single = true};
/* Of the swarm: swarm_net.c does what is to be done. */
static const struct net_driver overlay = {.name = "overlay", .addresses = true};

/* By name. */
static const struct net_driver *const drivers[] = {&net_driver_bridge,	&host, &net_driver_ipvlan,
						   &net_driver_macvlan, &null, &overlay};

int net_driver_word(const struct net_word *words, const char *driver, const char *option,
		    const char *s, uint32_t *ret, struct err *err)
{
	_cleanup_buf_ struct buf all = BUF_INIT;

	for (const struct net_word *w = words; w->word; w++) {
		if (streq(s, w->word) || !*s) {
			*ret = w->value;
			return 0;
		}
		buf_printf(&all, "%s%s", w == words ? "" : w[1].word ? ", " : " and ", w->word);
	}
	return err_set(err, -ENXIO,
		       "requested %s %s '%s' is not valid, '%s' %s is the %s driver default: give "
		       "one of %s",
		       driver, option, s, words->word, option, driver, all.data);
}

const struct net_driver *net_driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (streq(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

json_t *nets_drivers(void)
{
	json_t *out = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		json_array_append_new(out, json_string(drivers[i]->name));
	return out;
}
