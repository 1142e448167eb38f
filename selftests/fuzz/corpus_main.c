// SPDX-License-Identifier: Apache-2.0
/* Runs a fuzzer's entry point over the files of its corpus, for builds without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *dir, const char *name)
{
	static uint8_t data[1 << 20];
	char path[4096];
	uint8_t *copy;
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f)
		return 1;
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* an exact allocation, so that ASan sees a read past the end */
	copy = malloc(size ? size : 1);
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *e;
	unsigned int n = 0;
	DIR *dir;

	if (argc != 2 || !(dir = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (run_file(argv[1], e->d_name))
			return 1;
		n++;
	}
	closedir(dir);
	printf("# %u inputs\n", n);
	return n ? 0 : 1;
}
