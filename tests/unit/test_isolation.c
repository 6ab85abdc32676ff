/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/isolation, oci/host_config: who decides how a bundle is isolated, and the file of the host. */
#include "runtime/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

#define PLAIN "{\"ociVersion\":\"1.3.0\"}"
#define VM "{\"ociVersion\":\"1.3.0\",\"vm\":{\"kernel\":{\"path\":\"/k\"}}}"
#define ANNOTATED(word) "{\"ociVersion\":\"1.3.0\",\"vm\":{\"kernel\":{\"path\":\"/k\"}},\"annotations\":{\"run.nacre.isolation\":\"" word "\"}}"

#define SANDBOX(more) "{\"ociVersion\":\"1.3.0\",\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\"" more "}}"

static int find_with(const char *option, const char *program, const char *config, const char *path, enum isolation *ret, bool *ret_sandbox)
{
	_cleanup_spec_ struct spec *s = NULL;
	struct isolation_wish w = { .option = option, .program = program };
	struct host_config file;
	int r = spec_parse("config.json", config, strlen(config), &s);

	if (r < 0)
		return r;
	w.spec = s;
	return isolation_find(s->arena, &w, path, ret, ret_sandbox, &file);
}

static int find(const char *option, const char *program, const char *config, const char *path, enum isolation *ret)
{
	bool sandbox;
	int r = find_with(option, program, config, path, ret, &sandbox);

	return r < 0 || !sandbox ? r : -EBADE;
}

/* A file with this text, in a new folder; the path is freed by the caller. */
static char *make_file(const char *text, mode_t mode)
{
	char folder[] = "/tmp/nacre-test-XXXXXX";
	char *path = mkdtemp(folder) != NULL ? str_printf("%s/nacre.json", folder) : NULL;

	if (path == NULL || file_create(AT_FDCWD, path, text, strlen(text), 0600) < 0 || chmod(path, mode) < 0)
		abort();
	return path;
}

static void remove_file(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	free(path);
}

TEST(order)
{
	static const struct {
		const char *option, *program, *config, *file;
		enum isolation want;
	} cases[] = {
		{ NULL, "nacre", PLAIN, "{}", ISOLATION_CONTAINER },
		{ NULL, NULL, PLAIN, "{}", ISOLATION_CONTAINER },
		{ NULL, "nacre", PLAIN, "{\"isolation\":\"microvm\"}", ISOLATION_MICROVM },
		{ NULL, "nacre", PLAIN, "{\"isolation\":\"container\"}", ISOLATION_CONTAINER },
		{ NULL, "nacre", VM, "{\"isolation\":\"container\"}", ISOLATION_MICROVM },
		{ NULL, "nacre-vm", PLAIN, "{\"isolation\":\"container\"}", ISOLATION_MICROVM },
		{ NULL, "/usr/bin/nacre-vm", PLAIN, "{}", ISOLATION_MICROVM },
		{ NULL, "/opt/nacre-vm/nacre", PLAIN, "{}", ISOLATION_CONTAINER },
		{ NULL, "xnacre-vm", PLAIN, "{}", ISOLATION_CONTAINER },
		{ NULL, "nacre-vm", ANNOTATED("container"), "{\"isolation\":\"microvm\"}", ISOLATION_CONTAINER },
		{ NULL, "nacre", ANNOTATED("microvm"), "{\"isolation\":\"container\"}", ISOLATION_MICROVM },
		{ "container", "nacre-vm", ANNOTATED("microvm"), "{\"isolation\":\"microvm\"}", ISOLATION_CONTAINER },
		{ "microvm", "nacre", ANNOTATED("container"), "{\"isolation\":\"container\"}", ISOLATION_MICROVM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *path = make_file(cases[i].file, 0644);
		enum isolation got = ISOLATION_CONTAINER;

		if (!CHECK_INT(find(cases[i].option, cases[i].program, cases[i].config, path, &got), 0) ||
		    !CHECK_INT(got, cases[i].want))
			printf("#   case %zu: %s\n", i, err_text());
		remove_file(path);
	}
}

/* A pod's sandbox is a container whatever asks for a microVM, but for who types it. */
TEST(sandbox)
{
	static const struct {
		const char *option, *program, *config, *file;
		enum isolation want;
		bool sandbox;
	} cases[] = {
		{ NULL, "nacre", SANDBOX(""), "{}", ISOLATION_CONTAINER, false },
		{ NULL, "nacre-vm", SANDBOX(""), "{}", ISOLATION_CONTAINER, true },
		{ NULL, "nacre", SANDBOX(""), "{\"isolation\":\"microvm\"}", ISOLATION_CONTAINER, true },
		{ NULL, "nacre", SANDBOX(",\"run.nacre.isolation\":\"microvm\""), "{}", ISOLATION_CONTAINER, true },
		{ NULL, "nacre-vm", SANDBOX(",\"run.nacre.isolation\":\"container\""), "{}", ISOLATION_CONTAINER, false },
		{ "microvm", "nacre", SANDBOX(""), "{}", ISOLATION_MICROVM, false },
		{ "container", "nacre-vm", SANDBOX(""), "{}", ISOLATION_CONTAINER, false },
		{ NULL, "nacre-vm", SANDBOX(",\"io.kubernetes.cri-o.ContainerType\":\"container\""), "{}", ISOLATION_MICROVM, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *path = make_file(cases[i].file, 0644);
		enum isolation got = ISOLATION_CONTAINER;
		bool sandbox = false;

		if (!CHECK_INT(find_with(cases[i].option, cases[i].program, cases[i].config, path, &got, &sandbox), 0) ||
		    !CHECK_INT(got, cases[i].want) || !CHECK_INT(sandbox, cases[i].sandbox))
			printf("#   case %zu: %s\n", i, err_text());
		remove_file(path);
	}
}

TEST(words)
{
	enum isolation got;

	CHECK_INT(find("vm", NULL, PLAIN, "/dev/null/none", &got), -EINVAL);
	CHECK_STR(err_text(), "option --isolation: \"vm\" is neither container nor microvm");
	CHECK_INT(find("", NULL, PLAIN, "/dev/null/none", &got), -EINVAL);
	CHECK_INT(find(NULL, NULL, ANNOTATED("MicroVM"), "/dev/null/none", &got), -EINVAL);
	CHECK_STR(err_text(), "config.json: annotations[\"run.nacre.isolation\"]: \"MicroVM\" is neither container nor microvm");
}

/* A mistake in the file is no matter for who has no use for it. */
TEST(file_is_read_when_it_matters)
{
	char *path = make_file("{", 0644);
	enum isolation got;

	CHECK_INT(find("container", NULL, VM, path, &got), 0);
	CHECK_INT(find("microvm", NULL, PLAIN, path, &got), -EINVAL);
	CHECK_INT(find(NULL, NULL, PLAIN, path, &got), -EINVAL);
	CHECK_INT(find(NULL, NULL, PLAIN, "/nonexistent/nacre.json", &got), -ENOENT);	/* named, so it has to be there */
	remove_file(path);
}

static int load(const char *text, mode_t mode, struct host_config *ret, struct arena *a)
{
	char *path = make_file(text, mode);
	int r;

	err_clear();
	r = host_config_load(a, path, ret);
	remove_file(path);
	return r;
}

TEST(file_content)
{
	static const char text[] = "{\"isolation\":\"microvm\",\"vm\":{\"kernel\":{\"path\":\"/k\",\"parameters\":[\"a\",\"b=c\"],\"initrd\":\"/i\"},"
				   "\"hypervisor\":{\"path\":\"/q\",\"parameters\":[\"-x\"]},\"virtiofsd\":\"/v\"}}";
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct host_config c;

	if (!CHECK_INT(load(text, 0644, &c, a), 0))
		return;
	CHECK_STR(c.isolation, "microvm");
	CHECK_STR(c.kernel.path, "/k");
	CHECK_INT((int64_t)c.kernel.parameters.n, 2);
	CHECK_STR(c.kernel.parameters.v[1], "b=c");
	CHECK_STR(c.kernel.initrd, "/i");
	CHECK_STR(c.hypervisor.path, "/q");
	CHECK_STR(c.hypervisor.parameters.v[0], "-x");
	CHECK_STR(c.virtiofsd, "/v");
	if (!CHECK_INT(load("{\"vm\":{\"kernel\":{\"parameters\":[\"quiet\"]}}}", 0600, &c, a), 0))
		return;
	CHECK(c.isolation == NULL && c.kernel.path == NULL && c.hypervisor.path == NULL && c.virtiofsd == NULL);
	CHECK(c.kernel.parameters.n == 1 && c.hypervisor.parameters.v != NULL);
	CHECK_INT(load("{}", 0644, &c, a), 0);
	CHECK(c.kernel.parameters.v != NULL && c.kernel.parameters.v[0] == NULL);
}

TEST(file_refusals)
{
	static const struct {
		const char *text;
		mode_t mode;
		int want;
		const char *error;
	} cases[] = {
		{ "", 0644, -EINVAL, "nacre.json: " },
		{ "[]", 0644, -EINVAL, "must be an object, not an array" },
		{ "{\"isolation\":\"vm\"}", 0644, -EINVAL, "isolation: \"vm\" is not a known isolation" },
		{ "{\"isolate\":\"microvm\"}", 0644, -EINVAL, "isolate: is not known here" },
		{ "{\"vm\":{\"kernel\":{\"file\":\"/k\"}}}", 0644, -EINVAL, "vm.kernel.file: is not known here" },
		{ "{\"vm\":{\"image\":{}}}", 0644, -EINVAL, "vm.image: is not known here" },
		{ "{\"vm\":7}", 0644, -EINVAL, "vm: must be an object, not a number" },
		{ "{\"vm\":{\"kernel\":{\"path\":\"k\"}}}", 0644, -EINVAL, "vm.kernel.path: must be an absolute path, not \"k\"" },
		{ "{\"vm\":{\"virtiofsd\":\"v\"}}", 0644, -EINVAL, "vm.virtiofsd: must be an absolute path, not \"v\"" },
		{ "{\"vm\":{},\"vm\":{}}", 0644, -EINVAL, "vm: is given more than once" },
		{ "{\"vm\":{\"kernel\":{\"parameters\":[[[[[[[[]]]]]]]]}}}", 0644, -EINVAL, "nacre.json: " },
		{ "{}", 0664, -EPERM, "others than its owner may write to it" },
		{ "{}", 0646, -EPERM, "others than its owner may write to it" },
	};
	_cleanup_arena_ struct arena *a = arena_new(0);
	struct host_config c;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (!CHECK_INT(load(cases[i].text, cases[i].mode, &c, a), cases[i].want) ||
		    !CHECK(strstr(err_text(), cases[i].error) != NULL))
			printf("#   case %zu: %s\n", i, err_text());
}

TEST(file_kinds)
{
	_cleanup_arena_ struct arena *a = arena_new(0);
	char *path = make_file("{}", 0644);
	struct host_config c;

	CHECK_INT(host_config_load(a, "/tmp", &c), -EINVAL);
	CHECK(strstr(err_text(), "/tmp: not a regular file") != NULL);
	unlink(path);
	CHECK_INT(mkfifo(path, 0600), 0);
	CHECK_INT(host_config_load(a, path, &c), -EINVAL);	/* and does not wait for a writer */
	unlink(path);
	if (geteuid() == 0) {
		CHECK_INT(file_create(AT_FDCWD, path, "{}", 2, 0600), 0);
		CHECK_INT(chown(path, 1000, 0), 0);
		CHECK_INT(host_config_load(a, path, &c), -EPERM);
		CHECK(strstr(err_text(), "belongs to user 1000") != NULL);
	}
	remove_file(path);
}

TEST_MAIN(CASE(order), CASE(sandbox), CASE(words), CASE(file_is_read_when_it_matters), CASE(file_content), CASE(file_refusals), CASE(file_kinds))
