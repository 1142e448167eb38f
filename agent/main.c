// SPDX-License-Identifier: Apache-2.0
/* swarm-agent: reads its settings, opens the engine, serves the API, and answers to signals. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/api.h"
#include "api/build_net.h"
#include "core/buf.h"
#include "core/log.h"
#include "disk/file.h"
#include "engine.h"
#include "loop/events.h"
#include "loop/loop.h"
#include "manager/swarm.h"
#include "options.h"

struct daemon {
	struct options options;
	struct engine engine;
	struct http_server *server;
	SSL_CTX *tls;
	int lock;
	struct event *signals[5];
};

static int listen_unix(struct daemon *d, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct group *group = getgrnam(d->options.group);
	_cleanup_close_ int fd = -1;
	mode_t mask;
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes",
			       path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, -errno, "cannot make a socket");
	/* the data root's lock says that no other agent serves it */
	unlink(path);
	mask = umask(0117);
	rc = bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, 1024) ? -errno : 0;
	umask(mask);
	if (rc)
		return err_errno(err, rc, "cannot listen on %s", path);
	if (group && chown(path, 0, group->gr_gid))
		log_warn("cannot give %s to the group %s: %s", path, d->options.group,
			 strerror(errno));
	return http_server_listen(d->server, steal_fd(fd), NULL, err);
}

static int listen_tcp(struct daemon *d, const char *where, struct err *err)
{
	_cleanup_free_ char *host = xstrdup(where);
	char *port = strrchr(host, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found, *a;
	int rc = -EADDRNOTAVAIL, on = 1;

	if (!port || !port[1])
		return err_set(err, -EINVAL, "invalid host tcp://%s: it needs a port", where);
	*port++ = 0;
	if (host[0] == '[' && ends_with(host, "]")) {
		host[strlen(host) - 1] = 0;
		memmove(host, host + 1, strlen(host));
	}
	rc = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (rc)
		return err_set(err, -EINVAL, "invalid host tcp://%s: %s", where, gai_strerror(rc));
	for (a = found; a; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		rc = fd < 0 ? -errno : 0;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (!rc && (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1024)))
			rc = -errno;
		if (rc) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		rc = http_server_listen(d->server, fd, d->tls, err);
		break;
	}
	freeaddrinfo(found);
	return rc ? err_errno(err, rc, "cannot listen on tcp://%s", where) : 0;
}

/* fd://: the sockets that systemd passes from descriptor 3 on. */
static int listen_passed(struct daemon *d, struct err *err)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (!pid || !fds || atoi(pid) != getpid() || parse_u64(fds, 1, 64, &n))
		return err_set(err, -EINVAL,
			       "no sockets found via socket activation: make sure the "
			       "service was started by systemd");
	for (uint64_t i = 0; i < n; i++) {
		int rc = http_server_listen(d->server, 3 + i, NULL, err);

		if (rc)
			return rc;
	}
	return 0;
}

static int setup_tls(struct daemon *d, struct err *err)
{
	const struct options *o = &d->options;

	if (!o->tls && !o->tlsverify)
		return 0;
	d->tls = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_min_proto_version(d->tls, TLS1_2_VERSION);
	if (!o->tlscert || !o->tlskey ||
	    SSL_CTX_use_certificate_chain_file(d->tls, o->tlscert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(d->tls, o->tlskey, SSL_FILETYPE_PEM) != 1)
		return err_set(err, -EINVAL,
			       "could not load X509 key pair (--tlscert %s, --tlskey %s): %s",
			       o->tlscert ? o->tlscert : "not given",
			       o->tlskey ? o->tlskey : "not given",
			       ERR_reason_error_string(ERR_peek_last_error()));
	if (!o->tlsverify)
		return 0;
	if (!o->tlscacert || SSL_CTX_load_verify_locations(d->tls, o->tlscacert, NULL) != 1)
		return err_set(err, -EINVAL, "could not read the CA certificate --tlscacert %s",
			       o->tlscacert ? o->tlscacert : "not given");
	SSL_CTX_set_verify(d->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

static int listen_all(struct daemon *d, struct err *err)
{
	for (size_t i = 0; i < d->options.hosts.n; i++) {
		const char *host = d->options.hosts.v[i];
		int rc;

		if (starts_with(host, "unix://"))
			rc = listen_unix(d, host + 7, err);
		else if (starts_with(host, "tcp://"))
			rc = listen_tcp(d, host + 6, err);
		else if (starts_with(host, "fd://"))
			rc = listen_passed(d, err);
		else
			rc = err_set(err, -EINVAL,
				     "invalid host %s: give unix://PATH, tcp://HOST:PORT or fd://",
				     host);
		if (rc)
			return rc;
		log_info("API listen on %s", host);
	}
	return 0;
}

static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t len;

	if (!path || (len = strlen(path)) >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (void *)&addr,
		       offsetof(struct sockaddr_un, sun_path) + len);
}

static void apply_log_level(struct daemon *d)
{
	enum log_level level = LOG_INFO;

	log_level_parse(d->options.debug ? "debug" : d->options.log_level, &level);
	log_setup(level, streq(d->options.log_format, "json") ? LOG_JSON : LOG_TEXT);
}

static void reload(struct daemon *d)
{
	struct err err = ERR_INIT;

	log_info("Got signal to reload configuration");
	notify("RELOADING=1");
	if (options_reload(&d->options, &err)) {
		log_error("the configuration is not reloaded: %s", err.msg);
	} else {
		apply_log_level(d);
		events_emit(d->engine.events, "daemon", "reload", d->engine.id,
			    json_pack("{s:s}", "name", d->engine.hostname));
	}
	notify("READY=1");
}

static void dump(struct daemon *d)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	_cleanup_free_ char *path = xasprintf("%s/state-dump.log", d->options.exec_root);
	struct err err = ERR_INIT;
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	buf_printf(&b, "pid %d\nmax rss %ld KiB\nuser %ld.%06ld s\nsystem %ld.%06ld s\n", getpid(),
		   ru.ru_maxrss, ru.ru_utime.tv_sec, ru.ru_utime.tv_usec, ru.ru_stime.tv_sec,
		   ru.ru_stime.tv_usec);
	if (file_write_volatile(path, b.data, b.len, 0600, &err))
		log_error("no state dump: %s", err.msg);
	else
		log_info("state dump written to %s", path);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	switch (sig) {
	case SIGHUP:
		reload(d);
		return;
	case SIGUSR1:
		dump(d);
		return;
	case SIGQUIT:
		dump(d);
		/* fall through */
	default:
		log_info("Processing signal '%s'", strsignal(sig));
		notify("STOPPING=1");
		loop_stop(d->engine.loop);
	}
}

static int write_pidfile(const struct options *o, struct err *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", getpid());

	return file_write_volatile(o->pidfile, text, n, 0644, err);
}

/* The data root belongs to one agent at a time. */
static int lock_root(struct daemon *d, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/agent.lock", d->options.data_root);
	int rc = dir_make(d->options.data_root, 0710, err);

	if (!rc)
		rc = dir_make(d->options.exec_root, 0711, err);
	if (rc)
		return rc;
	d->lock = file_lock(path, err);
	if (d->lock == -EWOULDBLOCK)
		return err_set(err, -EBUSY,
			       "the data root %s is in use by another agent: stop it, or give "
			       "this one its own --data-root, --exec-root and --pidfile",
			       d->options.data_root);
	return min(d->lock, 0);
}

static int run(struct daemon *d, struct err *err)
{
	static const int sigs[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT};
	int rc = setup_tls(d, err);

	if (!rc)
		rc = lock_root(d, err);
	if (!rc)
		rc = engine_open(&d->engine, &d->options, err);
	if (rc)
		return rc;
	build_net_sweep(d->options.exec_root);
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
		d->signals[i] = evsignal_new(loop_base(d->engine.loop), sigs[i], on_signal, d);
		event_add(d->signals[i], NULL);
	}
	d->server = http_server_new(d->engine.loop, api_handle, &d->engine);
	rc = listen_all(d, err);
	if (!rc)
		rc = write_pidfile(&d->options, err);
	if (!rc) {
		notify("READY=1");
		log_info("Daemon has completed initialization");
		loop_run(d->engine.loop);
		unlink(d->options.pidfile);
		for (size_t i = 0; i < d->options.hosts.n; i++)
			if (starts_with(d->options.hosts.v[i], "unix://"))
				unlink(d->options.hosts.v[i] + 7);
	}
	http_server_free(d->server);
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		event_free(d->signals[i]);
	engine_close(&d->engine);
	return rc;
}

int main(int argc, char **argv)
{
	struct daemon d = {.lock = -1};
	struct err err = ERR_INIT;
	struct rlimit files = {1 << 20, 1 << 20};
	enum log_level level;
	int rc;

	rc = options_parse(&d.options, argc, argv, &err);
	if (!rc && d.options.help) {
		_cleanup_free_ char *text = options_help();

		fputs(text, stdout);
		options_done(&d.options);
		return 0;
	}
	if (!rc && d.options.version) {
		printf("swarm-agent version %s\n", SWARM_VERSION);
		options_done(&d.options);
		return 0;
	}
	if (!rc && log_level_parse(d.options.log_level, &level))
		rc = err_set(&err, -EINVAL, "unable to parse logging level: %s",
			     d.options.log_level);
	if (rc) {
		fprintf(stderr, "%s\nSee 'swarm-agent --help'.\n", err.msg);
		options_done(&d.options);
		return 1;
	}
	if (d.options.validate) {
		fprintf(stderr, "configuration OK\n");
		options_done(&d.options);
		return 0;
	}
	apply_log_level(&d);
	for (size_t i = 0; i < d.options.warnings.n; i++)
		log_warn("%s", d.options.warnings.v[i]);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (setrlimit(RLIMIT_NOFILE, &files)) {
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	rc = run(&d, &err);
	if (rc)
		log_at(LOG_FATAL, "failed to start daemon: %s", err.msg);
	SSL_CTX_free(d.tls);
	if (d.lock >= 0)
		close(d.lock);
	options_done(&d.options);
	return rc ? 1 : 0;
}
