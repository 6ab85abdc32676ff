/* SPDX-License-Identifier: Apache-2.0 */
/* See vm_qmp.h. */
#include "runtime/vm_qmp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"

#define ARENA_MAX 65536
#define DEPTH_MAX 8

static int broken(struct vm_qmp *q)
{
	q->broken = true;
	return ERR_PLAIN(-EPROTO, "QEMU does not keep to its monitor's protocol");
}

/* query-balloon: the size of the machine as the guest sees it, in bytes. Without a driver it is an error, and nothing is known. */
static void take_size(struct vm_qmp *q, const struct json *answer)
{
	const struct json *actual = json_member(answer, "actual");
	uint64_t size;

	if (actual != NULL && actual->type == JSON_NUMBER && parse_u64(actual->text, 0, UINT64_MAX, &size) == 0)
		q->balloon = size < q->ram ? q->ram - size : 0;
}

static int take_answer(struct vm_qmp *q, const struct json *answer)
{
	if (!q->waiting)
		return broken(q);
	q->waiting = false;
	q->agreed = true;
	if (q->asked)
		take_size(q, answer);
	q->asked = false;
	return 0;
}

static int take_line(struct vm_qmp *q)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	const struct json *root, *answer;

	if (a == NULL)
		return ERR_NOMEM();
	if (json_parse(a, "QMP", q->line, q->len, DEPTH_MAX, &root) < 0 || root->type != JSON_OBJECT)
		return broken(q);
	if (json_member(root, "event") != NULL)
		return 0;
	if (json_member(root, "QMP") != NULL) {
		if (q->greeted)
			return broken(q);
		q->greeted = true;
		return 0;
	}
	answer = json_member(root, "return");
	if (answer == NULL && json_member(root, "error") == NULL)
		return broken(q);
	return take_answer(q, answer);
}

int vm_qmp_receive(struct vm_qmp *q, const char *data, size_t len)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++) {
		if (q->broken || (data[i] != '\n' && q->len == sizeof(q->line)))
			return broken(q);
		if (data[i] != '\n') {
			q->line[q->len++] = data[i];
			continue;
		}
		if (q->len > 0)
			r = take_line(q);
		q->len = 0;
	}
	return r;
}

size_t vm_qmp_next(struct vm_qmp *q, char *ret)
{
	int n = 0;

	if (!q->greeted || q->waiting || q->broken)
		return 0;
	if (!q->agreed) {
		n = snprintf(ret, VM_QMP_COMMAND_MAX, "{\"execute\":\"qmp_capabilities\"}\n");
	} else if (q->told != q->less) {
		n = snprintf(ret, VM_QMP_COMMAND_MAX, "{\"execute\":\"balloon\",\"arguments\":{\"value\":%" PRIu64 "}}\n", q->ram - q->less);
		q->told = q->less;
	} else if (q->ask) {
		n = snprintf(ret, VM_QMP_COMMAND_MAX, "{\"execute\":\"query-balloon\"}\n");
		q->ask = false;
		q->asked = true;
	}
	q->waiting = n > 0;
	return (size_t)n;
}
