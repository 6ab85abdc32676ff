/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU says. A '!' in the input is our turn: a wish, and the commands that may be sent then. Each is one line, and
 * there is never more than one without its answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/vm_qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURN '!'
#define RAM (UINT64_C(1) << 30)

static void must(int true_of_all)
{
	if (!true_of_all)
		__builtin_trap();
}

static void take_turn(struct vm_qmp *q, uint64_t wish)
{
	char command[VM_QMP_COMMAND_MAX];
	size_t len;

	q->less = wish << 20;
	q->ask = true;
	len = vm_qmp_next(q, command);
	must(len < sizeof(command) && (len == 0 || memchr(command, '\n', len) == command + len - 1));
	must(vm_qmp_next(q, command) == 0 && (!q->broken || len == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_qmp q = { .ram = RAM };

	while (size > 0) {
		const uint8_t *turn = memchr(data, TURN, size);
		size_t len = turn != NULL ? (size_t)(turn - data) : size;

		if (vm_qmp_receive(&q, (const char *)data, len) < 0)
			err_clear();
		must(q.balloon <= RAM);
		if (turn != NULL)
			take_turn(&q, len % 1024);
		data += len + (turn != NULL);
		size -= len + (turn != NULL);
	}
	return 0;
}
