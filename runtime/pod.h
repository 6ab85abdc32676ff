/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Kubernetes engine tells of a container's place in its pod, by annotations of its own. Pure.
 *
 * A pod's sandbox is the engine's own container: its program waits (pause), and it holds the namespaces that the pod's containers
 * join. A microVM in its place would have nothing to do, would take the network away from the one that has, and nobody could
 * join it: it is always a container (isolation.h). Those that the pod is about become the microVMs.
 *
 * Theory of trust. Who is taken for a sandbox has a weaker isolation, so it has to be the engine who says that. An image has
 * no annotations here. A pod's author has: an engine hands the pod's on, containerd those that its table allows, CRI-O those
 * that it does not know. The engine's own word about a container stands over them, but it does not know the other engine's: so
 * the words of both must agree. A container that one engine calls a container is none's sandbox, whatever else is written there.
 * And what a pod may not choose is so for all that has such an annotation, whatever it says: who could write an unknown word
 * beside the engine's would else be out of the pod by it.
 */
#pragma once

struct spec;

enum pod_part {
	POD_NONE,
	POD_SANDBOX,
	POD_CONTAINER,	/* or something else of a pod */
};

/* Annotations: "sandbox" or "container". */
#define ANNOTATION_POD_CONTAINERD "io.kubernetes.cri.container-type"
#define ANNOTATION_POD_CRIO "io.kubernetes.cri-o.ContainerType"

/* For the log and explain. */
#define POD_SANDBOX_TEXT "a container and no microVM: it is a pod's sandbox, which holds the namespaces of the pod's containers"

enum pod_part pod_part(const struct spec *s);

/*
 * /dev/shm of a pod's container is a bind mount of the sandbox's: memory that belongs to the IPC namespace. A virtual machine's
 * IPC is its own, and memory that two kernels have mapped is not the same to both: it gets a tmpfs of its own, of half of its memory at
 * most. Only the engine's: a volume that the pod mounts there stays a volume. s is of a container that becomes a microVM, on the
 * host and in the guest; its mounts are changed, by memory of its arena. -ENOMEM with a text.
 */
int pod_replace_shm(struct spec *s);
