// SPDX-License-Identifier: Apache-2.0
/* Service specs, network requests and cluster specs as JSON from a client; and what filters hold. */
#include <assert.h>

#include "api/api.h"
#include "manager/check.h"
#include "api/conv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void specs(json_t *v)
{
	Pb__ServiceSpec *spec = NULL, *again = NULL;
	Pb__NetworkSpec *network = NULL;
	Pb__ClusterSpec *cluster = NULL;

	if (!conv_service_spec(v, 156, &spec, NULL)) {
		json_t *out = json_write(&json_service_spec, spec);

		/* what is accepted is accepted again as it is shown, and means the same */
		check_service_spec(spec, NULL);
		assert(!conv_service_spec(out, 156, &again, NULL));
		json_decref(out);
		pb_free(spec);
		pb_free(again);
	}
	if (!conv_network_spec(v, &network, NULL)) {
		check_network_spec(network, NULL);
		pb_free(network);
	}
	if (!conv_cluster_spec(v, NULL, &cluster, NULL)) {
		check_cluster_spec(cluster, NULL);
		pb_free(cluster);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"id", "label", "name", "until", NULL};
	char *text = xstrndup((const char *)data, size);
	json_t *v = json_loadb((const char *)data, size, 0, NULL);
	struct filters *f;
	int64_t until;
	bool b;

	if (json_is_object(v))
		specs(v);
	json_decref(v);
	if (!filters_parse(text, names, &f, NULL)) {
		filters_match_regex(f, "name", "web");
		filters_match_prefix(f, "id", "0123456789ab");
		filters_match_labels(f, "label", NULL);
		filters_until(f, 1, &until, NULL);
		filters_bool(f, "name", false, &b, NULL);
		filters_free(f);
	}
	free(text);
	return 0;
}
