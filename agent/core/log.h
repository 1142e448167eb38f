/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging to stderr, for roles and main only: libraries return errors instead. The level and
 * the format are the process's one global.
 */
#pragma once

#include "core/util.h"

enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
enum log_level log_level_get(void);
/* "debug", "info", "warn", "error", "fatal" (dockerd's names). Returns 0 or -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret);
/* Thread-safe: one write(2) a line. */
void log_at(enum log_level level, const char *fmt, ...) _printf_(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_level_get() >= LOG_DEBUG)                                                  \
			log_at(LOG_DEBUG, __VA_ARGS__);                                            \
	} while (0)
