// What this program knows how to read and write of the cluster's state.

/**
 * Rises with each release that adds fields, tables or kinds of change to the store. New things are written only once
 * Cluster.featureLevel reached their level; a program that meets a higher level than its own refuses to go on.
 */
export const featureLevel = 8

/** Networks, their allocation, and what services, tasks and nodes have of it. */
export const networksLevel = 2

/** Networks that running tasks are connected to, and the predefined networks of each node (`host`, `none`, `bridge`). */
export const connectionsLevel = 3

/** Secrets and configs, and what services have of them. */
export const payloadsLevel = 4

/** Services of other modes than replicated: their specs, tasks for one node, jobs and their runs. */
export const modesLevel = 4

/** Who worked in which container. */
export const accessesLevel = 4

/**
 * All that a service may say besides its networks and mode: health checks, options of volumes, dependencies, generic resources, name
 * servers, log drivers, policies, templates of secrets; and what tasks and nodes have of it. spec-features.ts lists it.
 */
export const optionsLevel = 5

/** Rights of containers beyond or below the usual ones, and what their control groups have besides limits. */
export const containerOptionsLevel = 6

/** Revisions of stacks. */
export const stackHistoryLevel = 5

/** Credentials with which the tasks of a service pull its image. */
export const registryLoginsLevel = 7

/** The log driver journald. */
export const journalLevel = 7

/** Runtimes of nodes, and the one that a service asks for. */
export const runtimesLevel = 7

/** Services whose containers have the users of the node. */
export const hostUsersLevel = 8

/** Ports in host mode on IPv6 addresses, or with source ranges. */
export const hostPortsLevel = 8

/** Networks of the driver bridge: each node has them for itself. */
export const localNetworksLevel = 8

/** Name servers of a service beside networks whose names the node knows. */
export const ownServersLevel = 8

/** What a service says of its interfaces on networks, and how far a mount may lag. */
export const endpointOptionsLevel = 8

/** From here on log drivers tell labels and variables of a container with each of its lines. */
export const logDetailsLevel = 8
