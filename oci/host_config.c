/* SPDX-License-Identifier: Apache-2.0 */
/* See host_config.h. */
#include "oci/host_config.h"

#include "oci/json.h"
#include "oci/spec_parse.h"

/* Far more than it takes. */
#define DEPTH_MAX 8

static const struct field vm_fields[] = {
	{ F_EMBEDDED(struct host_config, "kernel", struct spec_vm_kernel, kernel, &spec_shape_vm_kernel_default) },
	{ F_EMBEDDED(struct host_config, "hypervisor", struct spec_vm_hypervisor, hypervisor, &spec_shape_vm_hypervisor_default) },
	{ F_PATH(struct host_config, "virtiofsd", virtiofsd) },
};

static const struct shape vm = SHAPE(struct host_config, vm_fields, NULL);

/* The object "vm" has no struct of its own. */
static int read_vm(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	(void)f;
	return spec_read_object(r, j, &vm, object);
}

static const char *const isolations[] = { "container", "microvm" };
static const struct words isolation_words = WORDS("isolation", isolations);

static const struct field fields[] = {
	{ F_WORD(struct host_config, "isolation", isolation, &isolation_words) },
	{ F_OWN("vm", read_vm) },
};

static const struct shape document = SHAPE(struct host_config, fields, NULL);

void host_config_init(struct host_config *ret)
{
	*ret = (struct host_config){ .isolation = NULL };
	spec_shape_init(&vm, ret);
}

int host_config_parse(struct arena *a, const char *name, const char *text, size_t len, struct host_config *ret)
{
	const struct spec_reader reader = { .name = name, .arena = a, .strict = true };
	const struct json *tree;
	int r = json_parse(a, name, text, len, DEPTH_MAX, &tree);

	host_config_init(ret);
	return r < 0 ? r : spec_read_object(&reader, tree, &document, ret);
}
