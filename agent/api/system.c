// SPDX-License-Identifier: Apache-2.0
/* /_ping, /version */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "api/api.h"
#include "core/arch.h"
#include "manager/swarm.h"

void api_events(struct api_call *call);
void api_info(struct api_call *call);

/* "inactive", "active/manager", "active/worker", "locked", "error", "pending" */
static void swarm_header(struct api_call *call)
{
	struct swarm *s = call->engine->swarm;
	char text[40] = "inactive";

	if (s && swarm_state(s) == SWARM_ACTIVE)
		snprintf(text, sizeof(text), "active/%s",
			 swarm_is_manager(s) ? "manager" : "worker");
	else if (s)
		snprintf(text, sizeof(text), "%s", swarm_state_name(s));
	http_header_set(call->req, "Swarm", text);
}

static void ping(struct api_call *call)
{
	http_header_set(call->req, "Builder-Version", "1");
	http_header_set(call->req, "Cache-Control", "no-cache, no-store, must-revalidate");
	http_header_set(call->req, "Pragma", "no-cache");
	swarm_header(call);
	http_reply(call->req, 200, "text/plain; charset=utf-8", "OK", 2);
	api_call_free(call);
}

static json_t *version_json(void)
{
	char api[16], min_api[16];
	struct utsname u;

	uname(&u);
	snprintf(api, sizeof(api), "%d.%d", API_VERSION_MAX / 100, API_VERSION_MAX % 100);
	snprintf(min_api, sizeof(min_api), "%d.%d", API_VERSION_MIN / 100, API_VERSION_MIN % 100);
	return json_pack(
		"{s:{s:s}, s:[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}], s:s, s:s, s:s, s:s, "
		"s:s, s:s, s:s, s:s, s:s}",
		"Platform", "Name", "swarm-agent", "Components", "Name", "Engine", "Version",
		SWARM_VERSION, "Details", "ApiVersion", api, "MinAPIVersion", min_api, "Os",
		"linux", "Arch", ARCH_NAME, "KernelVersion", u.release, "Experimental", "false",
		"Version", SWARM_VERSION, "ApiVersion", api, "MinAPIVersion", min_api, "Os",
		"linux", "Arch", ARCH_NAME, "KernelVersion", u.release, "GitCommit", "",
		"GoVersion", "none", "BuildTime", "");
}

static void version(struct api_call *call)
{
	api_reply(call, 200, version_json());
}

const struct api_route api_system_routes[] = {
	{"GET", "/_ping", ping},    {"HEAD", "/_ping", ping},	    {"GET", "/version", version},
	{"GET", "/info", api_info}, {"GET", "/events", api_events}, {0},
};
