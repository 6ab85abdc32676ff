/* SPDX-License-Identifier: Apache-2.0 */
/* process.json of exec --process from anyone: parsed or refused, and no root by accident. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "oci/spec.h"
#include "runtime/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *s = NULL;

	err_clear();
	if (spec_parse_process("process.json", (const char *)data, size, &s) == 0) {
		const struct spec_process *p = s->process;

		assert(p->cwd[0] == '/');
		assert(p->args.v[p->args.n] == NULL && p->env.v[p->env.n] == NULL);
		assert(p->user.uid != UINT32_MAX && p->user.gid != UINT32_MAX && p->user.umask <= 0777);
		for (size_t i = 0; i < p->user.n_additional_gids; i++)
			assert(p->user.additional_gids[i] != UINT32_MAX);
		for (size_t i = 0; i < p->n_rlimits; i++)
			assert(p->rlimits[i].soft <= p->rlimits[i].hard);
	} else {
		assert(s == NULL);
		assert(strncmp(err_text(), "process.json: ", strlen("process.json: ")) == 0);
		assert(strchr(err_text(), '\n') == NULL);
	}
	spec_free(s);
	return 0;
}
