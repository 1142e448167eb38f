// SPDX-License-Identifier: Apache-2.0
#include "datapath/host_lo.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"

static const char *const names[] = {"accept_local", "route_localnet"};

static int setting(const char *name, int flags)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/lo/%s", name);
	return open(path, flags | O_CLOEXEC);
}

void host_lo_open(uint16_t *was)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = setting(names[i], O_RDWR);
		char c = '1';

		if (fd < 0 || read(fd, &c, 1) != 1 || c != '0')
			continue;
		if (pwrite(fd, "1", 1, 0) == 1)
			*was |= 1 << i;
	}
}

bool host_lo_is_open(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = setting(names[i], O_RDONLY);
		char c = '0';

		if (fd >= 0 && read(fd, &c, 1) == 1 && c == '0')
			return false;
	}
	return true;
}

void host_lo_restore(uint16_t was)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = was & 1 << i ? setting(names[i], O_WRONLY) : -1;

		if (fd >= 0 && write(fd, "0", 1) != 1)
			continue;
	}
}
