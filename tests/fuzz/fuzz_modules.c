/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index files of a kernel's modules: the text before the first NUL is modules.dep, behind it stands modules.builtin.
 * No file may be there twice.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "microvm/modules.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const wanted[] = { "virtio_mmio", "a", "virtio-fs", "b" };
	_cleanup_module_files_ struct module_files files = { 0 };
	const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
	struct modules_index index = { .dep = (const char *)data, .dep_size = size };

	if (end != NULL) {
		index.dep_size = (size_t)(end - data);
		index.builtin = (const char *)end + 1;
		index.builtin_size = size - index.dep_size - 1;
	}
	for (size_t n = ARRAY_SIZE(wanted); n > 0; n--) {
		if (modules_resolve(&index, wanted, n, &files) < 0)
			continue;
		for (size_t i = 0; i < files.n; i++)
			for (size_t j = 0; j < i; j++)
				if (str_eq(files.paths[i], files.paths[j]))
					__builtin_trap();
		module_files_deinit(&files);
	}
	return 0;
}
