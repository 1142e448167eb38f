// SPDX-License-Identifier: Apache-2.0
/* A container as the API shows it. Source: Engine API "ContainerInspectResponse", "ContainerSummary". */
#include <stdio.h>

#include "core/when.h"
#include "ctr/archive.h"
#include "ctr/ctr_impl.h"

static const char zero_time[] = "0001-01-01T00:00:00Z";

static json_t *when(int64_t ns)
{
	char buf[40];

	return json_string(ns ? time_format(ns, buf) : zero_time);
}

static json_t *state_json(const struct ctr *c)
{
	json_t *s = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:s, s:o, s:o}", "Status",
			      ctr_status_name(c), "Running",
			      ctr_running(c) || c->status == CTR_RESTARTING, "Paused",
			      c->status == CTR_PAUSED, "Restarting", c->status == CTR_RESTARTING,
			      "OOMKilled", c->oom_killed, "Dead", c->status == CTR_DEAD, "Pid",
			      c->pid, "ExitCode", c->exit_code, "Error", ctr_error(c), "StartedAt",
			      when(c->started_ns), "FinishedAt", when(c->finished_ns));

	if (*c->health)
		json_object_set_new(s, "Health", health_json(c));
	return s;
}

static const char *driver_of(const struct ctr *c, const char *name)
{
	struct volume *v = volume_find(c->ctrs->opt.volumes, name, NULL);

	return v ? volume_driver_name(v) : "local";
}

static json_t *mounts_json(const struct ctr *c)
{
	json_t *out = json_array();

	for (size_t i = 0; i < c->n_mounts; i++) {
		const struct mount_point *m = &c->mounts[i];
		bool bind = !strcmp(m->type, "bind"), volume = !strcmp(m->type, "volume");
		const char *propagation = !str_empty(m->propagation) ? m->propagation
					  : bind		     ? "rprivate"
								     : "";
		json_t *o = json_pack("{s:s}", "Type", m->type);

		if (m->options) /* --tmpfs is shown in HostConfig only */
			goto skip;
		if (volume)
			json_object_set_new(o, "Name", json_string(m->name));
		json_object_set_new(o, "Source", json_string(m->source ? m->source : ""));
		json_object_set_new(o, "Destination", json_string(m->target));
		if (volume)
			json_object_set_new(o, "Driver", json_string(driver_of(c, m->name)));
		json_object_set_new(o, "Mode", json_string(m->mode ? m->mode : ""));
		json_object_set_new(o, "RW", json_boolean(m->rw));
		json_object_set_new(o, "Propagation", json_string(propagation));
		json_array_append(out, o);
	skip:
		json_decref(o);
	}
	return out;
}

/* HostConfig as it is in force. */
static json_t *host_json(struct ctr *c)
{
	static const char *const keys[] = {"MaskedPaths", "ReadonlyPaths"};
	json_t *host = json_copy(c->host);

	json_object_set_new(host, "Links", ctr_links_json(c));
	for (size_t i = 0; !jb(host, "Privileged") && i < ARRAY_SIZE(keys); i++)
		if (!json_is_array(json_object_get(host, keys[i])))
			json_object_set_new(host, keys[i], spec_hidden(keys[i]));
	return host;
}

static json_t *driver_json(struct ctr *c)
{
	_cleanup_buf_ struct buf lower = BUF_INIT;

	if (c->image)
		image_lowerdirs(c->ctrs->opt.images, c->image, &lower);
	return json_pack("{s:s, s:{s:s, s:s, s:o, s:o, s:o}}", "Name", "overlay2", "Data", "ID",
			 c->id, "LowerDir", lower.data, "MergedDir",
			 json_sprintf("%s/merged", c->dir), "UpperDir",
			 json_sprintf("%s/rw", c->dir), "WorkDir", json_sprintf("%s/work", c->dir));
}

json_t *ctr_inspect(struct ctr *c, bool size)
{
	json_t *doc = json_object(), *args = json_array(), *v;
	const char *files = ctr_net_dir(c);
	size_t i;

	json_array_foreach (c->path_args, i, v)
		if (i)
			json_array_append(args, v);
	json_object_set_new(doc, "Id", json_string(c->id));
	json_object_set_new(doc, "Created", when(c->created_ns));
	json_object_set_new(doc, "Path", json_incref(json_array_get(c->path_args, 0)));
	json_object_set_new(doc, "Args", args);
	json_object_set_new(doc, "State", state_json(c));
	json_object_set_new(doc, "Image", json_string(c->image_id));
	json_object_set_new(doc, "ResolvConfPath", json_sprintf("%s/resolv.conf", files));
	json_object_set_new(doc, "HostnamePath", json_sprintf("%s/hostname", files));
	json_object_set_new(doc, "HostsPath", json_sprintf("%s/hosts", files));
	json_object_set_new(doc, "LogPath", json_string(ctr_log_remote(c) ? "" : c->log_path));
	json_object_set_new(doc, "Name", json_sprintf("/%s", c->name));
	json_object_set_new(doc, "RestartCount", json_integer(c->restart_count));
	json_object_set_new(doc, "Driver", json_string("overlay2"));
	json_object_set_new(doc, "Platform", json_string("linux"));
	json_object_set_new(doc, "MountLabel", json_string(""));
	json_object_set_new(doc, "ProcessLabel", json_string(""));
	json_object_set_new(doc, "AppArmorProfile", json_string(""));
	json_object_set_new(doc, "ExecIDs", execs_ids(c));
	json_object_set_new(doc, "HostConfig", host_json(c));
	json_object_set_new(doc, "GraphDriver", driver_json(c));
	if (size) {
		json_int_t rw = archive_size_rw(c);

		json_object_set_new(doc, "SizeRw", json_integer(rw));
		json_object_set_new(doc, "SizeRootFs",
				    json_integer(rw + (c->image ? c->image->size : 0)));
	}
	json_object_set_new(doc, "Mounts", mounts_json(c));
	json_object_set(doc, "Config", c->config);
	json_object_set_new(doc, "NetworkSettings", ctr_network_settings(c));
	return doc;
}

/* "3 minutes", as go-units' HumanDuration has it. */
static void human(int64_t seconds, char *buf, size_t size)
{
	int64_t minutes = seconds / 60, hours = (seconds + 1800) / 3600, days = hours / 24;

	if (seconds < 1)
		snprintf(buf, size, "Less than a second");
	else if (seconds == 1)
		snprintf(buf, size, "1 second");
	else if (seconds < 60)
		snprintf(buf, size, "%d seconds", (int)seconds);
	else if (minutes == 1)
		snprintf(buf, size, "About a minute");
	else if (minutes < 60)
		snprintf(buf, size, "%d minutes", (int)minutes);
	else if (hours == 1)
		snprintf(buf, size, "About an hour");
	else if (hours < 48)
		snprintf(buf, size, "%d hours", (int)hours);
	else if (days < 14)
		snprintf(buf, size, "%d days", (int)days);
	else if (days < 60)
		snprintf(buf, size, "%d weeks", (int)(days / 7));
	else if (days < 730)
		snprintf(buf, size, "%d months", (int)(days / 30));
	else
		snprintf(buf, size, "%d years", (int)(days / 365));
}

static json_t *status_text(const struct ctr *c)
{
	int64_t now = loop_wall_ns();
	char up[32], since[32];

	human((now - c->started_ns) / 1000000000, up, sizeof(up));
	human((now - c->finished_ns) / 1000000000, since, sizeof(since));
	switch (ctr_status(c)) {
	case CTR_RUNNING:
		if (!*c->health)
			return json_sprintf("Up %s", up);
		return json_sprintf("Up %s (%s%s)", up,
				    !strcmp(c->health, "starting") ? "health: " : "", c->health);
	case CTR_PAUSED:
		return json_sprintf("Up %s (Paused)", up);
	case CTR_RESTARTING:
		return json_sprintf("Restarting (%d) %s ago", c->exit_code, since);
	case CTR_REMOVING:
		return json_string("Removal In Progress");
	case CTR_DEAD:
		return json_string("Dead");
	case CTR_CREATED:
		return json_string("Created");
	default:
		return json_sprintf("Exited (%d) %s ago", c->exit_code, since);
	}
}

/* The command line, as the summary quotes it. */
static json_t *command_text(const struct ctr *c)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *v;
	size_t i;

	json_array_foreach (c->path_args, i, v) {
		const char *s = json_string_value(v);

		if (i)
			buf_char(&text, ' ');
		if (strchr(s, ' '))
			buf_printf(&text, "'%s'", s);
		else
			buf_str(&text, s);
	}
	return json_string(text.data);
}

/* NetworkSettings.Ports as a list of PortSummary. */
static json_t *ports_json(json_t *settings)
{
	json_t *out = json_array(), *bindings, *b;
	const char *key;
	size_t i;

	json_object_foreach (json_object_get(settings, "Ports"), key, bindings) {
		const char *type = strchr(key, '/') ? strchr(key, '/') + 1 : "tcp";

		if (!json_array_size(bindings))
			json_array_append_new(out, json_pack("{s:i, s:s}", "PrivatePort", atoi(key),
							     "Type", type));
		json_array_foreach (bindings, i, b)
			json_array_append_new(
				out, json_pack("{s:s, s:i, s:i, s:s}", "IP", js(b, "HostIp"),
					       "PrivatePort", atoi(key), "PublicPort",
					       atoi(js(b, "HostPort")), "Type", type));
	}
	return out;
}

json_t *ctr_summary(struct ctr *c, bool size)
{
	json_t *doc = json_object(), *settings = ctr_network_settings(c),
	       *nets = json_object_get(settings, "Networks");

	json_object_set_new(doc, "Id", json_string(c->id));
	json_object_set_new(doc, "Names", ctr_names_json(c));
	json_object_set_new(doc, "Image", json_string(c->image_ref));
	json_object_set_new(doc, "ImageID", json_string(c->image_id));
	json_object_set_new(doc, "Command", command_text(c));
	json_object_set_new(doc, "Created", json_integer(c->created_ns / 1000000000));
	json_object_set_new(doc, "Ports", ctr_running(c) ? ports_json(settings) : json_array());
	json_object_set(doc, "Labels", json_object_get(c->config, "Labels"));
	json_object_set_new(doc, "State", json_string(ctr_status_name(c)));
	json_object_set_new(doc, "Status", status_text(c));
	json_object_set_new(doc, "HostConfig",
			    json_pack("{s:s}", "NetworkMode", js(c->host, "NetworkMode")));
	json_object_set_new(doc, "NetworkSettings",
			    json_pack("{s:O}", "Networks", nets ? nets : json_null()));
	if (*c->health)
		json_object_set_new(doc, "Health",
				    json_pack("{s:s, s:i}", "Status", c->health, "FailingStreak",
					      (int)c->health_failures));
	json_object_set_new(doc, "Mounts", mounts_json(c));
	if (size) {
		json_int_t rw = archive_size_rw(c);

		json_object_set_new(doc, "SizeRw", json_integer(rw));
		json_object_set_new(doc, "SizeRootFs",
				    json_integer(rw + (c->image ? c->image->size : 0)));
	}
	json_decref(settings);
	return doc;
}
