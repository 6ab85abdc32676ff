/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm (runtime-spec config-vm.md), and the parts of it that a configuration file of the host may have, too.
 *
 * Go's engines write an object for each member of it, be it empty: one that says nothing counts as absent, but for the
 * kernel, which the specification requires.
 */
#include "oci/spec_parse.h"

#include "oci/json.h"
#include "runtime/base/str.h"

/* A parameter ends up as one argument, or as a word of the kernel's command line. */
static int read_parameters(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	int ret = read_strings(r, j, f, object);

	for (const struct json *e = j->child; ret == 0 && e != NULL; e = e->next)
		for (const char *c = e->text; ret == 0 && *c != '\0'; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				ret = spec_bad(r, e, "must have no control characters, as %s has", json_quote(r->arena, e->text));
	return ret;
}

#define HYPERVISOR(required_) \
	{ F_PATH(struct spec_vm_hypervisor, "path", path), .required = (required_) }, \
	{ F_STRV(struct spec_vm_hypervisor, "parameters", parameters, read_parameters) }

#define KERNEL(required_) \
	{ F_PATH(struct spec_vm_kernel, "path", path), .required = (required_) }, \
	{ F_STRV(struct spec_vm_kernel, "parameters", parameters, read_parameters) }, \
	{ F_PATH(struct spec_vm_kernel, "initrd", initrd) }

static const struct field hypervisor_fields[] = { HYPERVISOR(true) };
static const struct field kernel_fields[] = { KERNEL(true) };
static const struct field hypervisor_default_fields[] = { HYPERVISOR(false) };
static const struct field kernel_default_fields[] = { KERNEL(false) };

static const struct shape hypervisor = SHAPE(struct spec_vm_hypervisor, hypervisor_fields, NULL);
static const struct shape kernel = SHAPE(struct spec_vm_kernel, kernel_fields, NULL);
const struct shape spec_shape_vm_hypervisor_default = SHAPE(struct spec_vm_hypervisor, hypervisor_default_fields, NULL);
const struct shape spec_shape_vm_kernel_default = SHAPE(struct spec_vm_kernel, kernel_default_fields, NULL);

static const char *const image_formats[] = { "raw", "qcow2", "vdi", "vmdk", "vhd" };
static const struct words image_format_words = WORDS("image format", image_formats);

static const struct field image_fields[] = {
	{ F_PATH(struct spec_vm_image, "path", path), F_REQUIRED },
	{ F_WORD(struct spec_vm_image, "format", format, &image_format_words) },
};

/* "Unset values for format will default to" raw. */
static int finish_image(const struct spec_reader *r, const struct json *j, void *object)
{
	struct spec_vm_image *i = object;

	(void)r;
	(void)j;
	if (i->format == NULL)
		i->format = "raw";
	return 0;
}

static const struct shape image = SHAPE(struct spec_vm_image, image_fields, finish_image);

/* The rest describes devices of the host for a guest that has no firmware to ask: nothing that an x86-64 machine has. */
static const struct field hw_config_fields[] = {
	{ F_U32(struct spec_vm_hw_config, "vcpus", vcpus, 0, UINT32_MAX) },
	{ F_U64(struct spec_vm_hw_config, "memory", memory) },
	{ F_UNSUPPORTED("deviceTree") },
	{ F_UNSUPPORTED("dtdevs") },
	{ F_UNSUPPORTED("iomems") },
	{ F_UNSUPPORTED("irqs") },
};

static const struct shape hw_config = SHAPE(struct spec_vm_hw_config, hw_config_fields, NULL);

static const struct field vm_fields[] = {
	{ F_EMBEDDED(struct spec_vm, "hypervisor", struct spec_vm_hypervisor, hypervisor, &hypervisor), F_IF_SAID },
	{ F_EMBEDDED(struct spec_vm, "kernel", struct spec_vm_kernel, kernel, &kernel), F_REQUIRED },
	{ F_EMBEDDED(struct spec_vm, "image", struct spec_vm_image, image, &image), F_IF_SAID },
	{ F_EMBEDDED(struct spec_vm, "hwConfig", struct spec_vm_hw_config, hw_config, &hw_config), F_IF_SAID },
};

static int finish_vm(const struct spec_reader *r, const struct json *j, void *object)
{
	(void)r;
	(void)j;
	((struct spec_vm *)object)->present = true;
	return 0;
}

const struct shape spec_shape_vm = SHAPE(struct spec_vm, vm_fields, finish_vm);
