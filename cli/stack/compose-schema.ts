// The compose format 3.0 to 3.13 as Swarm's client knows it: every key, since when, and what its value may be. The order of
// the keys is that in which they are written out. Source: swarm-semantics 4; versions probed with docker 28.2.2.
import {
  bool,
  count,
  duration,
  field,
  integer,
  keptDuration,
  labels,
  list,
  type Struct,
  struct,
  text,
  texts,
  variables,
} from './shape.ts'

const kept = { isKept: true }

const build = struct(
  {
    context: field(text),
    dockerfile: field(text),
    args: field(variables),
    labels: field(labels, 3),
    cache_from: field(list(text), 2),
    extra_hosts: field({ kind: 'hosts' }, 9),
    network: field(text, 4),
    target: field(text, 4),
  },
  { others: 'dropped', textIs: 'context' },
)

const healthcheck = struct(
  {
    test: field({ kind: 'test' }),
    timeout: field(keptDuration),
    interval: field(keptDuration),
    retries: field(count),
    start_period: field(keptDuration, 4),
    start_interval: field(keptDuration, 12),
    disable: field(bool),
  },
  kept,
)

const updateConfig = struct(
  {
    parallelism: field(count),
    delay: field(duration),
    failure_action: field(text),
    monitor: field(duration),
    max_failure_ratio: field({ kind: 'float' }),
    order: field({ kind: 'word', words: ['start-first', 'stop-first'] }, 4),
  },
  kept,
)

const limits = struct(
  {
    cpus: field(text),
    memory: field({ kind: 'bytes' }),
    pids: field(integer, 9),
  },
  kept,
)

const genericResource = struct({
  discrete_resource_spec: field(struct({ kind: field(text), value: field(count) }, kept)),
})

const reservations = struct(
  {
    cpus: field(text),
    memory: field({ kind: 'bytes' }),
    generic_resources: field(list(genericResource, false), 5),
  },
  kept,
)

const deploy = struct(
  {
    mode: field(text),
    replicas: field(count),
    labels: field(labels),
    update_config: field(updateConfig),
    rollback_config: field(updateConfig, 7),
    resources: field(struct({ limits: field(limits), reservations: field(reservations) })),
    restart_policy: field(
      struct(
        {
          condition: field(text),
          delay: field(keptDuration),
          max_attempts: field(count),
          window: field(keptDuration),
        },
        kept,
      ),
    ),
    placement: field(
      struct({
        constraints: field(list(text, false)),
        preferences: field(list(struct({ spread: field(text) }), false), 3),
        max_replicas_per_node: field(integer, 8),
      }),
    ),
    endpoint_mode: field(text, 2),
  },
  { mayBeNull: true },
)

/** A secret or config of a service in its long form. */
export const reference = struct(
  {
    source: field(text),
    target: field(text),
    uid: field(text),
    gid: field(text),
    mode: field(count),
  },
  { others: 'dropped' },
)

export const port = struct({
  mode: field(text),
  target: field(integer),
  published: field(integer),
  protocol: field(text),
})

export const mount = struct({
  type: field(text),
  source: field(text),
  target: field(text),
  read_only: field(bool),
  consistency: field(text),
  bind: field(struct({ propagation: field(text) }, { isKept: true, others: 'dropped' })),
  volume: field(
    struct({ nocopy: field(bool), subpath: field(text) }, { isKept: true, others: 'dropped' }),
  ),
  tmpfs: field(struct({ size: field(integer) }, { isKept: true, others: 'dropped' }), 6),
})

export const serviceNetwork = struct(
  {
    aliases: field(list(text)),
    driver_opts: field({ kind: 'textMap', mayBeNull: false }, 13),
    ipv4_address: field(text),
    ipv6_address: field(text),
  },
  { isKept: true, mayBeNull: true },
)

export const ulimit = struct({ soft: field(integer), hard: field(integer) }, kept)

const service = struct(
  {
    build: field(build),
    cap_add: field(list(text)),
    cap_drop: field(list(text)),
    cgroupns_mode: field(text, 9),
    cgroup_parent: field(text),
    command: field({ kind: 'words' }),
    configs: field({ kind: 'references' }, 3),
    container_name: field(text),
    credential_spec: field(
      struct({ config: field(text, 8), file: field(text), registry: field(text) }),
      3,
    ),
    depends_on: field(list(text)),
    deploy: field(deploy),
    devices: field(list(text)),
    dns: field(texts),
    dns_search: field(texts),
    domainname: field(text),
    entrypoint: field({ kind: 'words' }),
    environment: field(variables),
    env_file: field(texts),
    expose: field(list({ kind: 'textOrNumber' })),
    external_links: field(list(text)),
    extra_hosts: field({ kind: 'hosts' }),
    hostname: field(text),
    healthcheck: field(healthcheck),
    image: field(text),
    init: field({ kind: 'bool', isKept: true }, 7),
    ipc: field(text),
    isolation: field(text, 5),
    labels: field(labels),
    links: field(list(text)),
    logging: field(
      struct(
        { driver: field(text), options: field({ kind: 'textMap', mayBeNull: true }) },
        { isKept: true },
      ),
    ),
    mac_address: field(text),
    network_mode: field(text),
    networks: field({ kind: 'networks' }),
    oom_score_adj: field(integer, 13),
    pid: field(text),
    ports: field({ kind: 'ports' }),
    privileged: field(bool),
    read_only: field(bool),
    restart: field(text),
    // Of the Compose Specification; Swarm's client refuses it.
    runtime: field(text),
    secrets: field({ kind: 'references' }, 1),
    security_opt: field(list(text)),
    shm_size: field(text),
    stdin_open: field(bool),
    stop_grace_period: field(keptDuration),
    stop_signal: field(text),
    sysctls: field(labels),
    tmpfs: field(texts),
    tty: field(bool),
    ulimits: field({ kind: 'ulimits' }),
    user: field(text),
    userns_mode: field(text),
    volumes: field({ kind: 'mounts' }),
    working_dir: field(text),
  },
  { extrasSince: 7 },
)

const external = { kind: 'external' } as const
const driverOptions = { kind: 'textMap', mayBeNull: false } as const

const network = struct(
  {
    name: field(text, 5),
    driver: field(text),
    driver_opts: field(driverOptions),
    ipam: field(
      struct({
        driver: field(text),
        config: field(list(struct({ subnet: field(text) }, kept), false)),
      }),
    ),
    external: field(external),
    internal: field(bool),
    attachable: field(bool, 2),
    labels: field(labels),
  },
  { isKept: true, mayBeNull: true, extrasSince: 7 },
)

const volume = struct(
  {
    name: field(text, 4),
    driver: field(text),
    driver_opts: field(driverOptions),
    external: field(external),
    labels: field(labels),
  },
  { isKept: true, mayBeNull: true, extrasSince: 7 },
)

const file = {
  name: field(text, 5),
  file: field(text),
  external: field(external),
  labels: field(labels),
}

const secret = struct(
  {
    ...file,
    driver: field(text, 8),
    driver_opts: field(driverOptions, 8),
    template_driver: field(text, 8),
  },
  { isKept: true, extrasSince: 7 },
)

const config = struct(
  { ...file, template_driver: field(text, 8) },
  { isKept: true, extrasSince: 7 },
)

const objects = (of: Struct, keepsExtras: boolean) =>
  ({ kind: 'objects', of, keepsExtras }) as const

/** A whole file. */
export const composeFile = struct(
  {
    version: field({ kind: 'version' }),
    services: field(objects({ ...service, isKept: true }, true)),
    networks: field(objects(network, false)),
    volumes: field(objects(volume, false)),
    secrets: field(objects(secret, true), 1),
    configs: field(objects(config, true), 3),
  },
  { extrasSince: 4 },
)

/** Keys that Swarm cannot do, with what to write instead; a file with one is refused. */
export const forbiddenKeys: Readonly<Record<string, string>> = {
  extends: 'it is not supported: use anchors, or give several files with -c',
  volume_driver: 'name the driver at the volume, under the top-level "volumes"',
  volumes_from: 'share a volume by naming it under the top-level "volumes" and in each service',
  cpu_quota: 'use deploy.resources.limits.cpus',
  cpu_shares: 'use deploy.resources',
  cpuset: 'use deploy.resources',
  mem_limit: 'use deploy.resources.limits.memory',
  memswap_limit: 'use deploy.resources.limits.memory',
}
