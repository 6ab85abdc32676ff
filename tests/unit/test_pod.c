/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/pod: who is a pod's sandbox by which annotations, and whose /dev/shm is the pod's. */
#include "runtime/pod.h"

#include <stdlib.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

#define CONTAINERD(word) "\"io.kubernetes.cri.container-type\":\"" word "\""
#define CRIO(word) "\"io.kubernetes.cri-o.ContainerType\":\"" word "\""

static struct spec *parse(const char *annotations, const char *mounts)
{
	_cleanup_free_ char *text = str_printf("{\"ociVersion\":\"1.2.0\",\"annotations\":{%s},\"mounts\":[%s]}", annotations, mounts);
	struct spec *s = NULL;

	if (text == NULL || spec_parse("config.json", text, strlen(text), &s) < 0)
		abort();
	return s;
}

TEST(parts)
{
	static const struct {
		const char *annotations;
		enum pod_part want;
	} cases[] = {
		{ "", POD_NONE },
		{ "\"x\":\"sandbox\"", POD_NONE },
		{ CONTAINERD("sandbox"), POD_SANDBOX },
		{ CONTAINERD("container"), POD_CONTAINER },
		/* In a pod, whatever it is there. */
		{ CONTAINERD("Sandbox"), POD_CONTAINER },
		{ CONTAINERD(""), POD_CONTAINER },
		{ CRIO("sandbox"), POD_SANDBOX },
		{ CRIO("container"), POD_CONTAINER },
		{ CONTAINERD("sandbox") "," CRIO("sandbox"), POD_SANDBOX },
		/* A pod's author has written the other engine's word. */
		{ CONTAINERD("container") "," CRIO("sandbox"), POD_CONTAINER },
		{ CONTAINERD("sandbox") "," CRIO("container"), POD_CONTAINER },
		{ CONTAINERD("sandbox") "," CRIO("x"), POD_CONTAINER },
		{ CONTAINERD("") "," CRIO("sandbox"), POD_CONTAINER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_spec_ struct spec *s = parse(cases[i].annotations, "");

		if (!CHECK_INT(pod_part(s), cases[i].want))
			printf("#   case %zu\n", i);
	}
}

#define ID "\"io.kubernetes.cri.sandbox-id\":\"abc\""
#define BIND(at, from) "{\"destination\":\"" at "\",\"type\":\"bind\",\"source\":\"" from "\",\"options\":[\"rbind\",\"rprivate\",\"ro\"]}"

TEST(shm_of_the_pod)
{
	static const struct {
		const char *annotations, *mount;
		bool replaced;
	} cases[] = {
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/sandboxes/abc/shm"), true },
		{ CRIO("container") ",\"io.kubernetes.cri-o.SandboxID\":\"abc\"", BIND("/dev/shm", "/run/abc/userdata/shm"), true },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/abcabc/abc/shm"), true },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/xabc/shm"), false },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/abcx/shm"), false },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/abc/shmx"), false },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/run/abc/xshm"), false },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "abc/shm"), false },
		{ CONTAINERD("container") "," ID, BIND("/dev/shm", "/pods/uid/volumes/shm"), false },
		{ CONTAINERD("container") "," ID, BIND("/shm", "/run/abc/shm"), false },
		{ CONTAINERD("container"), BIND("/dev/shm", "/run/abc/shm"), false },
		{ CONTAINERD("container") ",\"io.kubernetes.cri.sandbox-id\":\"\"", BIND("/dev/shm", "/run//shm"), false },
		{ CONTAINERD("sandbox") "," ID, BIND("/dev/shm", "/run/abc/shm"), false },
		{ ID, BIND("/dev/shm", "/run/abc/shm"), false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_spec_ struct spec *s = parse(cases[i].annotations, cases[i].mount);

		if (!CHECK_INT(pod_replace_shm(s), 0) || !CHECK_INT(str_eq(s->mounts[0].type, "tmpfs"), cases[i].replaced))
			printf("#   case %zu\n", i);
	}
}

/* What it becomes; the others are not touched. */
TEST(shm_becomes)
{
	_cleanup_spec_ struct spec *s = parse(CONTAINERD("container") "," ID, BIND("/v", "/run/abc/shm") "," BIND("/dev/shm", "/run/abc/shm"));
	const struct spec_mount *m;

	if (!CHECK_INT(pod_replace_shm(s), 0) || !CHECK_INT(s->n_mounts, 2))
		return;
	CHECK_STR(s->mounts[0].type, "bind");
	CHECK_INT(s->mounts[0].options.n, 3);
	m = &s->mounts[1];
	CHECK_STR(m->destination, "/dev/shm");
	CHECK_STR(m->source, "shm");
	CHECK(m->options.n == 5 && m->options.v[5] == NULL);
	CHECK(str_in("ro", m->options.v, 5) && str_in("nosuid", m->options.v, 5) && str_in("mode=1777", m->options.v, 5));
	CHECK(!str_in("rbind", m->options.v, 5));
}

TEST_MAIN(CASE(parts), CASE(shm_of_the_pod), CASE(shm_becomes))
