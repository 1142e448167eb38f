# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A client that writes (creates configs) and one that reads, through the managers' sockets in turn,
# for what is measured and promised while leaders die. To be sourced; $LAB has the records.

# usage: writer_start SOCKET…
writer_start() {
	rm -f "$LAB/stop" "$LAB/stale"
	: > "$LAB/acked"
	_writer "$@" < /dev/null > /dev/null 2>&1 &
	writer_pid=$!
	_reader "$@" < /dev/null > /dev/null 2>&1 &
	reader_pid=$!
}

writer_stop() {
	touch "$LAB/stop"
	wait "$writer_pid" "$reader_pid" 2> /dev/null
}

# Each accepted write is a line: microseconds, name. One whose outcome is not known is not tried
# again: its name is used up.
_writer() {
	local i=0 sock
	while [ ! -e "$LAB/stop" ]; do
		for sock in "$@"; do
			i=$((i + 1))
			if curl -sf -m 2 -o /dev/null --unix-socket "$sock" -H 'Content-Type: application/json' \
				-d "{\"Name\":\"w$i\",\"Data\":\"eA==\"}" http://d/configs/create; then
				echo "${EPOCHREALTIME/./} w$i" >> "$LAB/acked"
			else
				sleep 0.01
			fi
		done
	done
}

# What was accepted before a read began has to be in it: a line in $LAB/stale when it is not.
_reader() {
	local sock
	while [ ! -e "$LAB/stop" ]; do
		for sock in "$@"; do
			awk '{print $2}' "$LAB/acked" | sort > "$LAB/before"
			curl -sf -m 2 --unix-socket "$sock" http://d/configs > "$LAB/read" || { sleep 0.05; continue; }
			grep -o '"Name":"w[0-9]*"' "$LAB/read" | cut -d'"' -f4 | sort > "$LAB/names"
			comm -23 "$LAB/before" "$LAB/names" | sed "s|^|$sock |" >> "$LAB/stale"
			echo >> "$LAB/reads"
		done
	done
}

writes_accepted() { wc -l < "$LAB/acked"; }
# usage: writes_reach COUNT
writes_reach() { [ "$(writes_accepted)" -ge "$1" ]; }
# The longest time between two accepted writes, in milliseconds.
longest_gap_ms() { awk 'NR > 1 && $1 - last > gap {gap = $1 - last} {last = $1} END {printf "%d\n", gap / 1000}' "$LAB/acked"; }
# Accepted writes that are not in a list of names on stdin.
writes_missing() { sort > "$LAB/final"; awk '{print $2}' "$LAB/acked" | sort | comm -23 - "$LAB/final" | wc -l; }
