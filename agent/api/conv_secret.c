// SPDX-License-Identifier: Apache-2.0
/* Secrets and configs: a secret's data is taken, never shown. */
#include "api/conv.h"

const struct json_table json_secret_spec = {
	&pb__secret_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__SecretSpec, annotations, .table = &json_annotations),
		J_FIELD("Data", J_BYTES, Pb__SecretSpec, data),
		J_FIELD("Driver", J_MSG, Pb__SecretSpec, driver, .table = &json_driver),
		J_FIELD("Templating", J_MSG, Pb__SecretSpec, templating, .table = &json_driver),
		{0},
	},
};

/* the same, as it is shown */
static const struct json_table secret_spec_shown = {
	&pb__secret_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__SecretSpec, annotations, .table = &json_annotations),
		J_FIELD("Driver", J_MSG, Pb__SecretSpec, driver, .table = &json_driver),
		J_FIELD("Templating", J_MSG, Pb__SecretSpec, templating, .table = &json_driver),
		{0},
	},
};

const struct json_table json_secret = {
	&pb__secret__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Secret, id),
		J_FIELD("", J_INLINE, Pb__Secret, meta, .table = &json_meta),
		J_FIELD("Spec", J_MSG, Pb__Secret, spec, .flags = J_KEEP,
			.table = &secret_spec_shown),
		{0},
	},
};

const struct json_table json_config_spec = {
	&pb__config_spec__descriptor,
	(const struct json_field[]){
		J_FIELD("", J_INLINE, Pb__ConfigSpec, annotations, .table = &json_annotations),
		J_FIELD("Data", J_BYTES, Pb__ConfigSpec, data),
		J_FIELD("Templating", J_MSG, Pb__ConfigSpec, templating, .table = &json_driver),
		{0},
	},
};

const struct json_table json_config = {
	&pb__config__descriptor,
	(const struct json_field[]){
		J_FIELD("ID", J_STR, Pb__Config, id),
		J_FIELD("", J_INLINE, Pb__Config, meta, .table = &json_meta),
		J_FIELD("Spec", J_MSG, Pb__Config, spec, .flags = J_KEEP,
			.table = &json_config_spec),
		{0},
	},
};

json_t *conv_secret(const Pb__Secret *secret)
{
	return json_write(&json_secret, secret);
}

json_t *conv_config(const Pb__Config *config)
{
	return json_write(&json_config, config);
}
