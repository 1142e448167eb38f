// SPDX-License-Identifier: Apache-2.0
/* Objects as JSON and back: random specs keep their meaning, bad ones are refused by name. */
#include "api/conv.h"

#include <errno.h>

#include "manager/check.h"
#include "core/rng.h"
#include "kselftest_harness.h"

/* --- a random message of any type --- */

static void fill(struct rng *r, void *msg, int depth);

static char *random_text(struct rng *r)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-/.\"\\é";
	size_t n = 1 + rng_below(r, 12);
	char *s = xcalloc(1, n + 1);

	for (size_t i = 0; i < n; i++)
		s[i] = letters[rng_below(r, 36)];
	return s;
}

static void fill_scalar(struct rng *r, const ProtobufCFieldDescriptor *f, void *p)
{
	const ProtobufCEnumDescriptor *e = f->descriptor;

	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)p = rng_below(r, 2);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		*(int *)p = e->values[rng_below(r, e->n_values)].value;
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
		*(uint32_t *)p = rng_below(r, 1 << 30);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)p = rng_below(r, INT64_MAX);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		*(float *)p = rng_below(r, 1000) / 997.0f;
		break;
	case PROTOBUF_C_TYPE_BYTES:
		pb_set_bytes(p, "\0\1\2\xff", 1 + rng_below(r, 4));
		break;
	default:
		assert(0);
	}
}

static void *fill_new(struct rng *r, const ProtobufCMessageDescriptor *d, int depth)
{
	void *msg = pb_new_desc(d);

	if (d == &pb__duration__descriptor || d == &pb__timestamp__descriptor) {
		Pb__Duration *t = msg; /* the same form */

		t->seconds = rng_below(r, 1000000);
		t->nanos = rng_below(r, 1000000000);
	} else {
		fill(r, msg, depth + 1);
	}
	return msg;
}

static void fill_field(struct rng *r, void *msg, const ProtobufCFieldDescriptor *f, int depth)
{
	void *p = (char *)msg + f->offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t *n = (size_t *)((char *)msg + f->quantifier_offset), want = rng_below(r, 3);

		/* labels are a map: their keys are sorted and each is there once */
		if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->descriptor == &pb__label__descriptor) {
			for (size_t i = 0; i < want; i++) {
				_cleanup_free_ char *key = random_text(r), *value = random_text(r);

				pb_set_label(n, p, key, value);
			}
			return;
		}
		for (size_t i = 0; i < want; i++) {
			if (f->type == PROTOBUF_C_TYPE_STRING) {
				_cleanup_free_ char *s = random_text(r);

				pb_append_str(n, p, s);
			} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
				void ***array = p;

				pb_append(n, array, fill_new(r, f->descriptor, depth));
			}
		}
		return;
	}
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		_cleanup_free_ char *s = random_text(r);

		pb_set_str(p, s);
	} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		*(void **)p = fill_new(r, f->descriptor, depth);
	} else {
		fill_scalar(r, f, p);
	}
}

static void fill(struct rng *r, void *msg, int depth)
{
	const ProtobufCMessageDescriptor *d = ((ProtobufCMessage *)msg)->descriptor;

	for (unsigned int i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
			int *which = (int *)((char *)msg + f->quantifier_offset);

			if (*which || rng_below(r, 2))
				continue;
			*which = f->id;
			if (f->type == PROTOBUF_C_TYPE_STRING)
				*(char **)((char *)msg + f->offset) = random_text(r);
			else
				*(void **)((char *)msg + f->offset) =
					fill_new(r, f->descriptor, depth);
			continue;
		}
		if (depth < 8 && rng_below(r, 4))
			fill_field(r, msg, f, depth);
	}
}

/* Whether all of part is in whole; objects may have more there. */
static bool contains(json_t *whole, json_t *part)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_object(part)) {
		json_object_foreach (part, key, v)
			if (!json_object_get(whole, key) ||
			    !contains(json_object_get(whole, key), v))
				return false;
		return json_is_object(whole);
	}
	if (json_is_array(part)) {
		json_array_foreach (part, i, v)
			if (!contains(json_array_get(whole, i), v))
				return false;
		return json_array_size(whole) == json_array_size(part);
	}
	return json_equal(whole, part);
}

/*
 * What a message says in JSON survives: read back it is a message that says the same. (An absent
 * message may come back as an empty one: hence the comparison from the second on.)
 */
static void round_trip(struct __test_metadata *_metadata, const struct json_table *t,
		       unsigned int times)
{
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned int i = 0; i < times; i++) {
		void *msg = fill_new(&r, t->desc, 0), *second = NULL, *third = NULL;
		json_t *json = json_write(t, msg), *json2, *json3;
		struct err err = ERR_INIT;

		ASSERT_EQ(0, json_read(t, "X", json, &second, &err))
		{
			TH_LOG("%s: %s", json_dumps(json, 0), err.msg);
		}
		json2 = json_write(t, second);
		ASSERT_EQ(0, json_read(t, "X", json2, &third, &err));
		json3 = json_write(t, third);
		ASSERT_TRUE(json_equal(json2, json3))
		{
			TH_LOG("%s\n%s", json_dumps(json2, 0), json_dumps(json3, 0));
		}
		ASSERT_TRUE(contains(json2, json))
		{
			TH_LOG("%s\n%s", json_dumps(json, 0), json_dumps(json2, 0));
		}
		json_decref(json);
		json_decref(json2);
		json_decref(json3);
		pb_free(msg);
		pb_free(second);
		pb_free(third);
	}
}

TEST(round_trips)
{
	round_trip(_metadata, &json_port_config, 50);
	round_trip(_metadata, &json_generic_resource, 50);
	round_trip(_metadata, &json_node_spec, 50);
	round_trip(_metadata, &json_cluster_spec, 50);
	round_trip(_metadata, &json_config_spec, 50);
	round_trip(_metadata, &json_secret_spec, 50);
}

/* A service spec in JSON as users send it. */
#define SPEC(more)                                                                                 \
	"{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"alpine\"}}" more "}"
#define CONTAINER(more)                                                                            \
	"{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"alpine\"," more "}}}"
#define TASK(more)                                                                                 \
	"{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"alpine\"}," more "}}"

static int read_spec(const char *text, Pb__ServiceSpec **ret, struct err *err)
{
	json_t *v = json_loads(text, 0, NULL);
	int rc;

	assert(v);
	rc = conv_service_spec(v, 156, ret, err);
	json_decref(v);
	if (!rc)
		rc = check_service_spec(*ret, err);
	if (rc && *ret) {
		pb_free(*ret);
		*ret = NULL;
	}
	return rc;
}

TEST(specs_in_full)
{
	static const char text[] =
		"{\"Name\":\"web\",\"Labels\":{\"a\":\"b\"},\"TaskTemplate\":{\"ContainerSpec\":{"
		"\"Image\":\"alpine:3\","
		"\"Labels\":{\"c\":\"d\"},\"Command\":[\"x\"],\"Args\":[\"y\"],\"Hostname\":\"h\","
		"\"Env\":[\"A=1\"],"
		"\"Dir\":\"/"
		"d\",\"User\":\"1:2\",\"Groups\":[\"3\"],\"Privileges\":{\"CredentialSpec\":{"
		"\"Config\":\"c\"},"
		"\"SELinuxContext\":{\"Disable\":true,\"User\":\"\",\"Role\":\"\",\"Type\":\"\","
		"\"Level\":\"\"},"
		"\"Seccomp\":{\"Mode\":\"custom\",\"Profile\":\"e30=\"},\"AppArmor\":{\"Mode\":"
		"\"disabled\"},"
		"\"NoNewPrivileges\":true},\"Init\":true,\"StopSignal\":\"SIGINT\",\"TTY\":true,"
		"\"OpenStdin\":true,"
		"\"ReadOnly\":true,\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/"
		"t\",\"TmpfsOptions\":{\"SizeBytes\":9,"
		"\"Mode\":511,\"Options\":[[\"noexec\"],[\"uid\",\"7\"]]}},{\"Type\":\"volume\","
		"\"Source\":\"v\",\"Target\":\"/v\","
		"\"VolumeOptions\":{\"NoCopy\":true,\"Labels\":{\"l\":\"m\"},\"Subpath\":\"s\","
		"\"DriverConfig\":{\"Name\":\"local\","
		"\"Options\":{\"o\":\"p\"}}}},{\"Type\":\"bind\",\"Source\":\"/s\",\"Target\":\"/"
		"b\",\"ReadOnly\":true,"
		"\"Consistency\":\"cached\",\"BindOptions\":{\"Propagation\":\"rshared\","
		"\"NonRecursive\":true}}],"
		"\"StopGracePeriod\":5000000000,\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],"
		"\"Interval\":1000000,\"Retries\":3},"
		"\"Hosts\":[\"1.2.3.4 "
		"x\"],\"DNSConfig\":{\"Nameservers\":[\"1.1.1.1\"],\"Search\":[\"s\"],\"Options\":["
		"\"o\"]},"
		"\"Isolation\":\"default\",\"Sysctls\":{\"net.core.somaxconn\":\"9\"},"
		"\"CapabilityAdd\":[\"CAP_NET_RAW\"],"
		"\"CapabilityDrop\":[\"CAP_CHOWN\"],\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":2,"
		"\"Soft\":1}],\"OomScoreAdj\":7},"
		"\"Resources\":{\"Limits\":{\"NanoCPUs\":500000000,\"MemoryBytes\":8388608,"
		"\"Pids\":10},\"Reservations\":{"
		"\"GenericResources\":[{\"DiscreteResourceSpec\":{\"Kind\":\"gpu\",\"Value\":2}}]},"
		"\"SwapBytes\":5,"
		"\"MemorySwappiness\":50},\"RestartPolicy\":{\"Condition\":\"on-failure\","
		"\"Delay\":1,\"MaxAttempts\":4,"
		"\"Window\":2},\"Placement\":{\"Constraints\":[\"node.role==manager\"],"
		"\"Preferences\":[{\"Spread\":{"
		"\"SpreadDescriptor\":\"node.labels.dc\"}}],\"MaxReplicas\":3,\"Platforms\":[{"
		"\"Architecture\":\"x86_64\","
		"\"OS\":\"linux\"}]},\"Networks\":[{\"Target\":\"n\",\"Aliases\":[\"a\"],"
		"\"DriverOpts\":{\"k\":\"v\"}}],"
		"\"LogDriver\":{\"Name\":\"json-file\",\"Options\":{\"max-size\":\"1m\"}},"
		"\"ForceUpdate\":2,"
		"\"Runtime\":\"container\"},\"Mode\":{\"Replicated\":{\"Replicas\":5}},"
		"\"UpdateConfig\":{\"Parallelism\":2,"
		"\"Delay\":1,\"FailureAction\":\"rollback\",\"Monitor\":3,\"MaxFailureRatio\":0.25,"
		"\"Order\":\"start-first\"},"
		"\"RollbackConfig\":{\"Parallelism\":0,\"FailureAction\":\"continue\","
		"\"MaxFailureRatio\":0,"
		"\"Order\":\"stop-first\"},\"EndpointSpec\":{\"Mode\":\"dnsrr\",\"Ports\":[{"
		"\"Name\":\"p\",\"Protocol\":\"udp\","
		"\"TargetPort\":53,\"PublishedPort\":5353,\"PublishMode\":\"host\"}]}}";
	json_t *want = json_loads(text, 0, NULL), *got;
	Pb__ServiceSpec *spec = NULL;
	struct err err = ERR_INIT;

	ASSERT_NE(NULL, want);
	ASSERT_EQ(0, read_spec(text, &spec, &err))
	{
		TH_LOG("%s", err.msg);
	}
	EXPECT_EQ(10, spec->task->container->pids_limit);
	got = json_write(&json_service_spec, spec);
	EXPECT_TRUE(json_equal(want, got))
	{
		TH_LOG("%s", json_dumps(got, 0));
	}
	json_decref(want);
	json_decref(got);
	pb_free(spec);
}

TEST(what_is_filled_in)
{
	Pb__ServiceSpec *spec = NULL;
	struct err err = ERR_INIT;
	json_t *v;

	ASSERT_EQ(0, read_spec(SPEC(""), &spec, &err));
	EXPECT_EQ(PB__SERVICE_SPEC__MODE_REPLICATED, spec->mode_case);
	EXPECT_EQ(1, spec->replicated->replicas);
	pb_free(spec);
	spec = NULL;
	/* names without regard to case, networks of the service, counts of a job */
	ASSERT_EQ(0, read_spec("{\"name\":\"a\",\"tasktemplate\":{\"containerspec\":{\"image\":"
			       "\"x\"},\"RestartPolicy\":"
			       "{\"Condition\":\"none\"}},\"Networks\":[{\"Target\":\"n\"}],"
			       "\"Mode\":{\"ReplicatedJob\":"
			       "{\"MaxConcurrent\":3}}}",
			       &spec, &err))
	{
		TH_LOG("%s", err.msg);
	}
	EXPECT_EQ(3, spec->replicated_job->total_completions);
	EXPECT_EQ(1, spec->task->n_networks);
	EXPECT_EQ(0, spec->n_networks);
	pb_free(spec);
	spec = NULL;
	/* an older API: what it did not know is passed over */
	v = json_loads(CONTAINER("\"Ulimits\":[{\"Name\":\"a\"}],\"CapabilityAdd\":[\"x\"],"
				 "\"OomScoreAdj\":5"),
		       0, NULL);
	ASSERT_EQ(0, conv_service_spec(v, 140, &spec, &err));
	EXPECT_EQ(0, spec->task->container->n_ulimits);
	EXPECT_EQ(0, spec->task->container->n_capability_add);
	EXPECT_EQ(0, spec->task->container->oom_score_adj);
	pb_free(spec);
	json_decref(v);
}

TEST(bad_specs)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"{}", "mismatched Runtime"},
		{"{\"Name\":7}",
		 "cannot unmarshal number into field ServiceSpec.Name of type string"},
		{SPEC(",\"Labels\":{\"a\":1}"), "ServiceSpec.Labels.a"},
		{SPEC(",\"Mode\":[]"), "ServiceSpec.Mode"},
		{SPEC(",\"Mode\":{\"Replicated\":{\"Replicas\":-1}}"), "Replicas of type uint64"},
		{SPEC(",\"Mode\":{\"Replicated\":{\"Replicas\":\"x\"}}"),
		 "Replicas of type uint64"},
		{SPEC(",\"Mode\":{\"Replicated\":{},\"Global\":{}}"),
		 "must specify only one service mode"},
		{SPEC(",\"UpdateConfig\":{\"FailureAction\":\"explode\"}"),
		 "UpdateConfig.FailureAction"},
		{SPEC(",\"UpdateConfig\":{\"Order\":\"x\"}"), "UpdateConfig.Order"},
		{SPEC(",\"UpdateConfig\":{\"MaxFailureRatio\":1.5}"), "update-maxfailureratio"},
		{SPEC(",\"UpdateConfig\":{\"Delay\":-1}"), "update-delay cannot be negative"},
		{SPEC(",\"EndpointSpec\":{\"Mode\":\"x\"}"), "EndpointSpec.Mode"},
		{SPEC(",\"EndpointSpec\":{\"Ports\":[{\"TargetPort\":0}]}"), "invalid target port"},
		{SPEC(",\"EndpointSpec\":{\"Ports\":[{\"TargetPort\":1,\"PublishedPort\":70000}]}"),
		 "published port"},
		{SPEC(",\"EndpointSpec\":{\"Ports\":[{\"TargetPort\":1,\"PublishedPort\":2},{"
		      "\"TargetPort\":3,"
		      "\"PublishedPort\":2}]}"),
		 "duplicate published ports"},
		{SPEC(",\"EndpointSpec\":{\"Mode\":\"dnsrr\",\"Ports\":[{\"TargetPort\":1,"
		      "\"PublishedPort\":2}]}"),
		 "can't be used with dnsrr mode"},
		{SPEC(",\"EndpointSpec\":{\"Ports\":[{\"Protocol\":\"icmp\",\"TargetPort\":1}]}"),
		 "Ports[0].Protocol"},
		{TASK("\"RestartPolicy\":{\"Condition\":\"sometimes\"}"),
		 "RestartPolicy.Condition"},
		{TASK("\"RestartPolicy\":{\"Delay\":-5}"), "restart-delay cannot be negative"},
		{TASK("\"Placement\":{\"Constraints\":[\"nonsense\"]}"), "constraint"},
		{TASK("\"Placement\":{\"Preferences\":[{}]}"), "spread descriptor"},
		{TASK("\"Resources\":{\"Limits\":{\"NanoCPUs\":5}}"), "invalid cpu value"},
		{TASK("\"Resources\":{\"Reservations\":{\"MemoryBytes\":5}}"),
		 "Must be at least 4MiB"},
		{TASK("\"Runtime\":\"plugin\""), "plugins are not supported"},
		{TASK("\"ForceUpdate\":1.5"), "ForceUpdate of type uint64"},
		{CONTAINER("\"Mounts\":[{\"Type\":\"floppy\"}]"), "Mounts[0].Type"},
		{CONTAINER("\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"x\",\"Target\":\"/y\"}]"),
		 "must be an absolute path: x"},
		{CONTAINER("\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"y\"}]"),
		 "mount target, must be an absolute"},
		{CONTAINER("\"Mounts\":[{\"Type\":\"tmpfs\",\"Source\":\"x\",\"Target\":\"/y\"}]"),
		 "source must be empty"},
		{CONTAINER("\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/"
			   "y\"},{\"Type\":\"tmpfs\",\"Target\":\"/y\"}]"),
		 "duplicate mount point: /y"},
		{CONTAINER("\"Healthcheck\":{\"Interval\":5}"), "Interval in HealthConfig"},
		{CONTAINER("\"Healthcheck\":{\"Retries\":-1}"), "Retries in HealthConfig"},
		{CONTAINER("\"Secrets\":[{\"SecretID\":\"a\"}]"), "malformed secret reference"},
		{CONTAINER("\"Configs\":[{\"ConfigID\":\"a\",\"ConfigName\":\"b\",\"File\":{"
			   "\"Name\":\"..\"}}]"),
		 "invalid target file name"},
		{CONTAINER("\"Secrets\":[{\"SecretID\":\"a\",\"SecretName\":\"b\",\"File\":{"
			   "\"Name\":\"f\"}},"
			   "{\"SecretID\":\"c\",\"SecretName\":\"d\",\"File\":{\"Name\":\"f\"}}]"),
		 "conflicting target: 'f'"},
		{CONTAINER("\"Env\":[\"A={{.Nonsense}}\"]"), "Nonsense"},
		{CONTAINER("\"Env\":{}"), "ContainerSpec.Env"},
		{CONTAINER("\"Privileges\":{\"CredentialSpec\":{\"File\":\"a\",\"Config\":\"b\"}}"),
		 "only one of its kind"},
		{CONTAINER("\"StopGracePeriod\":-1"), "StopGracePeriod cannot be negative"},
		{"{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"A B\"}}}",
		 "is not a valid repository/tag"},
		{"{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{}}}",
		 "image reference must be provided"},
		{"{\"Name\":\"-web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"a\"}}}",
		 "valid as a DNS name"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		Pb__ServiceSpec *spec = NULL;
		struct err err = ERR_INIT;

		EXPECT_NE(0, read_spec(bad[i].text, &spec, &err))
		{
			TH_LOG("accepted: %s", bad[i].text);
		}
		EXPECT_NE(NULL, strstr(err.msg, bad[i].says))
		{
			TH_LOG("%s: %s", bad[i].text, err.msg);
		}
		EXPECT_TRUE(err.code == -EINVAL || err.code == -EOPNOTSUPP);
		pb_free(spec);
	}
}

TEST(cluster_specs_merge)
{
	json_t *v = json_loads("{\"Raft\":{\"SnapshotInterval\":7},\"Dispatcher\":{"
			       "\"HeartbeatPeriod\":0},\"Labels\":"
			       "{\"x\":\"y\"},\"EncryptionConfig\":{\"AutoLockManagers\":true}}",
			       0, NULL);
	Pb__ClusterSpec *first = NULL, *second = NULL;
	struct err err = ERR_INIT;

	ASSERT_EQ(0, conv_cluster_spec(NULL, NULL, &first, &err));
	EXPECT_EQ(5, first->orchestration->task_history_retention_limit);
	ASSERT_EQ(0, conv_cluster_spec(v, first, &second, &err))
	{
		TH_LOG("%s", err.msg);
	}
	EXPECT_EQ(7, second->raft->snapshot_interval);
	EXPECT_EQ(500, second->raft->log_entries_for_slow_followers);
	EXPECT_EQ(5000000000LL, pb_duration_ns(second->dispatcher->heartbeat_period));
	EXPECT_TRUE(second->encryption_config->auto_lock_managers);
	EXPECT_STREQ("y",
		     pb_label(second->annotations->labels, second->annotations->n_labels, "x"));
	json_decref(v);
	pb_free(first);
	v = json_loads("{\"Name\":\"other\"}", 0, NULL);
	ASSERT_EQ(0, conv_cluster_spec(v, second, &first, &err));
	EXPECT_EQ(-EINVAL, check_cluster_spec(first, &err));
	json_decref(v);
	pb_free(first);
	v = json_loads("{\"CAConfig\":{\"NodeCertExpiry\":5}}", 0, NULL);
	ASSERT_EQ(0, conv_cluster_spec(v, second, &first, &err));
	EXPECT_EQ(-EINVAL, check_cluster_spec(first, &err));
	json_decref(v);
	pb_free(first);
	pb_free(second);
}

TEST(secrets_keep_their_data)
{
	Pb__Secret *s = pb_new(pb__secret);
	json_t *v;

	pb_set_str(&s->id, "id");
	s->spec = pb_new(pb__secret_spec);
	pb_set_bytes(&s->spec->data, "hidden", 6);
	v = conv_secret(s);
	EXPECT_EQ(NULL, json_object_get(json_object_get(v, "Spec"), "Data"));
	json_decref(v);
	pb_free(s);
}

TEST(networks)
{
	json_t *v = json_loads(
		"{\"Name\":\"n\",\"Driver\":\"overlay\",\"Attachable\":true,\"Options\":{"
		"\"encrypted\":\"\"},"
		"\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0/24\",\"Gateway\":\"10.9.0.9\"}]}}",
		0, NULL);
	static const char *const bad[][2] = {
		{"{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0\"}]}}",
		 "invalid subnet"},
		{"{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0/33\"}]}}",
		 "invalid subnet"},
		{"{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0/"
		 "24\",\"Gateway\":\"10.8.0.1\"}]}}",
		 "does not contain gateway"},
		{"{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0/"
		 "24\",\"IPRange\":\"10.8.0.0/25\"}]}}",
		 "does not contain range"},
		{"{\"Name\":\"n\",\"Ingress\":true,\"Attachable\":true}", "cannot be attachable"},
		{"{\"Name\":\"n\",\"Labels\":{\"com.docker.swarm.predefined\":\"true\"}}",
		 "predefined"},
		{"{\"Name\":\"n n\"}", "DNS name"},
		{"{\"Name\":\"n\",\"Driver\":\"x\"}", "driver x"},
	};
	Pb__Network *n = pb_new(pb__network);
	struct err err = ERR_INIT;
	json_t *o;

	ASSERT_EQ(0, conv_network_spec(v, &n->spec, &err));
	EXPECT_EQ(0, check_network_spec(n->spec, &err));
	pb_set_str(&n->id, "id");
	o = conv_network(n, 156);
	EXPECT_STREQ(
		"10.9.0.9",
		json_string_value(json_object_get(
			json_array_get(json_object_get(json_object_get(o, "IPAM"), "Config"), 0),
			"Gateway")));
	EXPECT_TRUE(json_is_true(json_object_get(o, "Attachable")));
	EXPECT_STREQ("swarm", json_string_value(json_object_get(o, "Scope")));
	json_decref(o);
	json_decref(v);
	pb_free(n);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		Pb__NetworkSpec *s = NULL;

		v = json_loads(bad[i][0], 0, NULL);
		EXPECT_EQ(0, conv_network_spec(v, &s, &err));
		EXPECT_NE(0, check_network_spec(s, &err));
		EXPECT_NE(NULL, strstr(err.msg, bad[i][1]))
		{
			TH_LOG("%s: %s", bad[i][0], err.msg);
		}
		json_decref(v);
		pb_free(s);
	}
}

TEST_HARNESS_MAIN
