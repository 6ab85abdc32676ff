/* SPDX-License-Identifier: Apache-2.0 */
/* linux.netDevices of a plan. See plan_parts.h. */
#include "runtime/plan_parts.h"

#include <errno.h>
#include <string.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/plan.h"

static int check_names(const struct net_move *v, size_t i)
{
	if (!net_move_name_valid(v[i].name, false))
		return ERR_PLAIN(-EINVAL, "config.json: linux.netDevices.%s: is no name of a network device", v[i].name);
	if (!net_move_name_valid(v[i].new_name, true))
		return ERR_PLAIN(-EINVAL, "config.json: linux.netDevices.%s.name: \"%s\" is no name for a network device (at most 15 "
				 "characters, one %%d at most)", v[i].name, v[i].new_name);
	for (size_t k = 0; k < i; k++)
		if (str_eq(v[k].new_name, v[i].new_name) && strchr(v[i].new_name, '%') == NULL)
			return ERR_PLAIN(-EINVAL, "config.json: linux.netDevices.%s.name: \"%s\" is what linux.netDevices.%s becomes already",
					 v[i].name, v[i].new_name, v[k].name);
	return 0;
}

int plan_build_network(struct plan *p)
{
	const struct spec_linux *l = &p->spec->linux_;
	struct net_move *v = arena_array(p->arena, l->n_net_devices, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < l->n_net_devices; i++) {
		const struct spec_net_device *in = &l->net_devices[i];
		int r;

		v[i] = (struct net_move){ .name = in->name, .new_name = in->new_name != NULL ? in->new_name : in->name };
		r = check_names(v, i);
		if (r < 0)
			return r;
	}
	p->net_devices = v;
	p->n_net_devices = l->n_net_devices;
	return 0;
}
